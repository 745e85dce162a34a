# The layers of the sources, from the bottom up; shared by check-layers and check-links.
package Layers;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(%may layer_of may_use);

# layer => the layers whose headers it may include and whose functions it may call. "backend" is the
# interface, src/backend/*.h; each of its subfolders is a layer of its own, seen by nobody else. The
# interface lies below the graph, because a context owns a device and parameters lie in its memory;
# the implementations see what the ops' attributes are.
our %may = (
    base => [qw(base)],
    tensor => [qw(base tensor)],
    backend => [qw(base tensor backend)],
    graph => [qw(base tensor backend graph op)],
    op => [qw(base tensor graph op)],
    'backend/ref' => [qw(base tensor op backend)],
    'backend/cpu' => [qw(base tensor op backend)],
    compile => [qw(base tensor graph op backend compile)],
    nn => [qw(base tensor graph op nn)],
    data => [qw(base tensor data)],
    train => [qw(base tensor graph op backend compile nn data train)],
    method => [qw(base tensor graph op backend compile nn data train method)],
    report => [qw(base tensor graph op compile nn data train method report)],
    cli => [qw(cli)],
);

# The layer a path below src/ lies in: src/backend/cpu/onednn/a.c is in backend/cpu.
sub layer_of {
    my ($path) = @_;
    return 'backend' if $path =~ m{(?:^|/)src/backend/[^/]+$};
    return ($path =~ m{(?:^|/)src/(backend/[^/]+|[^/]+)/})[0];
}

sub may_use {
    my ($from, $to) = @_;
    return $from eq $to || scalar grep { $_ eq $to } @{ $may{$from} || [] };
}

1;
