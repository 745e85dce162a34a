# What the check-* scripts share: finding files, hiding comments and strings, reporting.
#
# A finding is one line "file:line: what; what to do". A line is let off one rule by a comment on it
# or on the line before:  /* lint: allow RULE, because ... */
package Lint;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(root files slurp code_only spliced complain allowed finish);

my ($root, $name, $findings) = ('', '', 0);

# Goes to the root of the repository (or $CUPEL_LINT_ROOT), where all paths below start.
sub root {
    ($name) = $0 =~ m{([^/]+)$};
    ($root) = $ENV{CUPEL_LINT_ROOT} || ($0 =~ m{^(.*)/[^/]+/[^/]+$})[0] || ($0 =~ m{/} ? '.' : '..');
    chdir $root or die "$name: cannot enter $root: $!\n";
}

# Sorted paths below the folders given whose name matches the pattern.
sub files {
    my ($pattern, @todo) = @_;
    my @found;
    while (defined(my $path = shift @todo)) {
        if (-d $path) {
            opendir my $dir, $path or die "$name: cannot list $path: $!\n";
            push @todo, map { "$path/$_" } grep { !/^\./ } readdir $dir;
        } elsif (-f $path && $path =~ $pattern) {
            push @found, $path;
        }
    }
    return sort @found;
}

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or die "$name: cannot read $path: $!\n";
    local $/;
    my $text = <$file>;
    return defined $text ? $text : '';
}

# C text with comments blanked and, unless $keep_strings, the insides of strings and character
# constants too. Every line keeps its number.
sub code_only {
    my ($text, $keep_strings) = @_;
    my $blank = sub { my $s = shift; $s =~ s/[^\n]/ /g; $s };
    $text =~ s{(/\*.*?\*/|//[^\n]*)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')}{
        my ($comment, $string) = ($1, $2);
        defined $comment ? $blank->($comment)
            : $keep_strings ? $string
            : substr($string, 0, 1) . $blank->(substr $string, 1, -1) . substr($string, -1);
    }gse;
    return $text;
}

# Text with lines that end in a backslash joined to the next. Lines keep their numbers.
sub spliced {
    my ($text) = @_;
    $text =~ s{((?:[^\n]*\\[ \t]*\n)+)([^\n]*)}{
        my ($before, $last) = ($1, $2);
        my $joined = $before =~ s/\\[ \t]*\n//g;
        $before . $last . "\n" x $joined;
    }ge;
    return $text;
}

# Is `rule` allowed on line number $line (from 1) of @$lines, the original text?
sub allowed {
    my ($lines, $line, $rule) = @_;
    for my $at ($line, $line - 1) {
        next if $at < 1 || $at > @$lines;
        return 1 if $lines->[$at - 1] =~ m{lint: allow \Q$rule\E, because \S};
    }
    return 0;
}

sub complain {
    my ($path, $line, $what, $remedy) = @_;
    print "$path:$line: $what; $remedy\n";
    $findings++;
}

sub finish {
    my ($checked) = @_;
    if ($findings) {
        print "$name: $findings finding" . ($findings == 1 ? '' : 's') . "\n";
        exit 1;
    }
    print "$name: ok ($checked)\n";
    exit 0;
}

1;
