# The layers of sources and public headers, from the bottom up; shared by check-layers and check-links.
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

# The layer that a public header belongs to, and whose files may include it: that of the code behind
# it, but for op.h: a descriptor speaks of nothing but types, so that kernels may know it too.
# cupel.h draws in all of them and is for the outside alone.
my %headers = (
    base => [qw(file number status version)],
    tensor => [qw(op tensor types)],
    backend => [qw(machine)],
    graph => [qw(context graph parameters)],
    op => [qw(ops ops_here)],
    compile => [qw(plan program)],
    nn => [qw(layers models)],
    data => [qw(baselines check dataset download image loader recipe synth)],
    train => [qw(job metrics protocol trainer)],
    method => [qw(score)],
);
my %public;
for my $layer (keys %headers) {
    $public{$_} = $layer for @{ $headers{$layer} };
}

# The layer a file of src/ or include/cupel/ lies in: src/backend/cpu/onednn/a.c is in backend/cpu.
# undef: in none.
sub layer_of {
    my ($path) = @_;
    return $public{$1} if $path =~ m{(?:^|/)include/cupel/(\w+)\.h$};
    return 'backend' if $path =~ m{(?:^|/)src/backend/[^/]+$};
    return ($path =~ m{(?:^|/)src/(backend/[^/]+|[^/]+)/})[0];
}

sub may_use {
    my ($from, $to) = @_;
    return $from eq $to || scalar grep { $_ eq $to } @{ $may{$from} || [] };
}

1;
