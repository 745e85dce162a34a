# Bad days: disks that are full or cannot be written, paths that are missing or closed, values that
# are not finite, two at once, no home. Messages, exit codes, and what is left.

load support/cli.bash

setup_file() {
    export RUN=$BATS_FILE_TMPDIR/run
    tiny "$RUN" || return 1
}

setup() { cd "$BATS_TEST_TMPDIR"; }

# Runs a command as a user whom permissions bite, which root is not.
as_nobody() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    else
        chmod 711 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR"
        cp "$CUPEL" program # the build may lie where nobody looks
        shift
        setpriv --reuid=65534 --regid=65534 --clear-groups ./program "$@"
    fi
}

no_temporaries() { # FOLDER
    [ ! -e "$1" ] || [ -z "$(find "$1" -name '.*.tmp-*')" ] || { find "$1" -name '.*.tmp-*'; return 1; }
}

@test "a disk that is full at any byte of a run: exit code 4, nothing half-written, and it goes on" {
    local bytes failures=0
    "$CUPEL" train "$TINY" --data "$RECIPES" --out whole --epochs 1 --quiet
    # Into each file: env.json, split.json, plan.json, config.yaml, metrics.jsonl, best, last, state.
    for bytes in 0 200 1000 20000 45000 60000 100000 600000 700000 1200000 1400000 3000000; do
        rm -rf out
        CUPEL_FULL_AFTER=$bytes fails_with 4 preloaded "$CUPEL" train "$TINY" --data "$RECIPES" \
            --out out --epochs 1
        says "out/"
        says "No space left on device; free space"
        says "cupel train --resume out" || [ ! -e out/config.yaml ]
        no_temporaries out
        failures=$((failures + 1))
        if [ -e out/config.yaml ]; then
            "$CUPEL" train --resume out --quiet
        else
            [ ! -e out ]
            "$CUPEL" train "$TINY" --data "$RECIPES" --out out --epochs 1 --quiet
        fi
        same_run whole out
    done
    [ "$failures" -eq 12 ]
}

@test "a full disk while resuming: the old files stay whole" {
    cp -r "$RUN" out
    local before
    before=$(cksum <out/state.safetensors)
    CUPEL_FULL_AFTER=500000 fails_with 4 preloaded "$CUPEL" train --resume out --epochs 4
    says "No space left"
    no_temporaries out
    [ "$(cksum <out/state.safetensors)" = "$before" ]
    "$CUPEL" train --resume out --epochs 4 --quiet
    tiny whole --epochs 4
    same_run whole out
}

@test "a full disk for scores, sheet and stdout" {
    local file bytes
    mkdir out
    for bytes in 0 1000 50000; do
        CUPEL_FULL_AFTER=$bytes fails_with 4 preloaded "$CUPEL" score "$RUN" "$SAMPLE" \
            --out out/scores.csv
        says "out/scores.csv"
        says "No space left"
    done
    CUPEL_FULL_AFTER=100000 fails_with 4 preloaded "$CUPEL" score "$RUN" "$SAMPLE" \
        --out out/scores.csv --top 5 --sheet out/sheet.png
    says "No space left"
    rm -f out/scores.csv # whole, if it was written before the sheet
    [ -z "$(ls -A out)" ]
    fails_with 4 bash -c "'$CUPEL' score '$RUN' '$SAMPLE' >/dev/full"
    [ "${#lines[@]}" -eq 1 ] # one fault, one sentence
    says "cannot write to stdout: No space left on device; free space"
    fails_with 4 bash -c "'$CUPEL' eval '$RUN' --data '$RECIPES' >/dev/full"
    fails_with 4 bash -c "'$CUPEL' eval '$RUN' --data '$RECIPES' --json >/dev/full"
    fails_with 4 "$CUPEL" score "$RUN" "$SAMPLE" --out /dev/full
}

@test "a limit on file sizes is a failed write, not the end of the program" {
    fails_with 4 bash -c "ulimit -f 100; '$CUPEL' train '$TINY' --data '$RECIPES' --out out"
    says "ulimit -f"
    no_temporaries out
    fails_with 4 bash -c "ulimit -f 10; '$CUPEL' score '$RUN' '$SAMPLE' --out scores.csv"
    says "ulimit -f"
    no_temporaries .
    [ ! -e scores.csv ]
    "$CUPEL" train --resume out --quiet
    same_run "$RUN" out
}

@test "paths that are missing" {
    fails_with 4 "$CUPEL" train none.yaml
    says "none.yaml: No such file or directory; check the path"
    fails_with 4 "$CUPEL" train "$TINY" --data none --out out
    says "none: No such file or directory; check the path"
    fails_with 4 "$CUPEL" train "$TINY" --data "$TINY" --out out
    says "Not a directory"
    fails_with 4 "$CUPEL" train "$BATS_TEST_TMPDIR"
    says "Is a directory"
    fails_with 4 "$CUPEL" train --resume none
    says "holds no run"
    fails_with 4 "$CUPEL" score none "$SAMPLE"
    fails_with 4 "$CUPEL" score "$RUN" none
    says "cannot read none: No such file or directory; check the path"
    fails_with 4 "$CUPEL" score "$RUN" "$SAMPLE" --out none/scores.csv
    says "cannot write none/scores.csv: No such file or directory; check the path"
    fails_with 4 "$CUPEL" eval "$RUN" --data none
    says "cannot open the folder none: No such file or directory; check the path"
    [ ! -e out ]
}

@test "folders without weights: whether they are runs, and which weights there are" {
    fails_with 4 "$CUPEL" score "$BATS_TEST_TMPDIR" x
    says "$BATS_TEST_TMPDIR holds no run: give the folder that cupel train printed, or a weights"
    cp -r "$RUN" q
    rm q/best.safetensors
    fails_with 4 "$CUPEL" score q "$SAMPLE"
    says "q/best.safetensors is not there"
    says "--weights last"
    "$CUPEL" score q "$SAMPLE" --weights last >/dev/null
    rm q/last.safetensors
    fails_with 4 "$CUPEL" eval q
    says "q has no weights yet"
    says "cupel train --resume q"
}

@test "data that is no longer where the run was trained on it" {
    cp -r "$RUN" q
    sed -i 's#"data": "[^"]*"#"data": "/gone"#' q/env.json
    local command
    for command in "train --resume q --epochs 4" "eval q"; do
        fails_with 4 "$CUPEL" $command
        says "/gone, where the run's data was, is not there: give its present folder with --data"
    done
    "$CUPEL" eval q --data "$RECIPES" >/dev/null
    "$CUPEL" train --resume q --epochs 4 --data "$RECIPES" --quiet
}

@test "paths that may not be read" {
    mkdir -p data closed
    cp -r "$SAMPLE" data/sample
    cp -r "$SAMPLE" closed/sample
    cp -r "$RUN" run
    cp "$TINY" tiny.yaml
    cp "$TINY" secret.yaml
    cp "$RUN/best.safetensors" secret.safetensors
    chmod 0 secret.yaml secret.safetensors data/sample/train-images-idx3-ubyte.gz closed
    fails_with 4 as_nobody "$CUPEL" train secret.yaml
    says "secret.yaml: Permission denied; check the permissions"
    fails_with 4 as_nobody "$CUPEL" train tiny.yaml --data data --out out
    says "train-images-idx3-ubyte.gz: Permission denied; check the permissions"
    fails_with 4 as_nobody "$CUPEL" train tiny.yaml --data closed --out out
    says "closed: Permission denied; check the permissions"
    fails_with 4 as_nobody "$CUPEL" score secret.safetensors data/sample
    says "secret.safetensors: Permission denied"
    fails_with 4 as_nobody "$CUPEL" score run/best.safetensors closed
    says "closed: Permission denied; check the permissions"
    chmod 0 run
    fails_with 4 as_nobody "$CUPEL" score run data/sample
    says "cannot look at run/best.safetensors: Permission denied; check the permissions"
    fails_with 4 as_nobody "$CUPEL" score closed/x.safetensors data/sample
    says "cannot look at closed/x.safetensors: Permission denied; check the permissions"
    chmod 700 closed run
}

@test "an output folder that cannot be written" {
    mkdir fixed
    chmod 555 fixed
    cp -r "$RUN" run
    chmod -R a-w run
    cp "$TINY" tiny.yaml
    cp -r "$RECIPES" data
    fails_with 4 as_nobody "$CUPEL" train tiny.yaml --data data --out fixed/out
    says "cannot create the folder fixed/out: Permission denied; check the permissions"
    fails_with 4 as_nobody "$CUPEL" train --resume run --data data --epochs 4
    says "run/"
    says "Permission denied; check the permissions"
    fails_with 4 as_nobody "$CUPEL" train tiny.yaml --data data --out run --force
    says "Permission denied; check the permissions"
    fails_with 4 as_nobody "$CUPEL" score run data/sample --out fixed/scores.csv
    says "fixed/scores.csv: Permission denied"
    cmp run/state.safetensors "$RUN/state.safetensors"
    fails_with 4 "$CUPEL" train "$TINY" --data "$RECIPES" --out /proc/none/out
    fails_with 4 "$CUPEL" train "$TINY" --data "$RECIPES" --out "$TINY"
    says "a file of that name is in the way"
    fails_with 4 "$CUPEL" train "$TINY" --data "$RECIPES" --out "$(printf 'n%.0s' {1..300})"
    says "shorter name"
    chmod -R u+w fixed run
}

@test "media that can only be read: scores and evaluations work, training says why not" {
    # What a read-only mount refuses, as the folder's permissions do for who is not root.
    cp -r "$RUN" run
    cp -r "$RECIPES" data
    chmod -R a-w run data
    as_nobody "$CUPEL" score run data/sample >scores.csv
    "$CUPEL" score "$RUN" "$SAMPLE" | cut -d, -f2- >want
    cut -d, -f2- scores.csv | cmp - want
    as_nobody "$CUPEL" eval run --data data >table.txt
    as_nobody "$CUPEL" train --resume run --data data --epochs 4 --dry-run --quiet
    chmod -R u+w run data
    local command before
    before=$(cat run/* | cksum)
    for command in "train --resume run --data data --epochs 4" "score run data/sample --out a.csv" \
        "train $TINY --data data --out new" "data synth shapes"; do
        CUPEL_READ_ONLY=1 fails_with 4 preloaded "$CUPEL" $command
        says "Read-only file system; check the permissions or choose another folder"
    done
    [ "$(cat run/* | cksum)" = "$before" ]
    CUPEL_READ_ONLY=1 preloaded "$CUPEL" score run data/sample | cmp - scores.csv
}

@test "an output folder inside the data set is refused, links followed" {
    mkdir d
    cp "$SAMPLE"/* d
    ln -s d link
    local out
    for out in d d/run d/a/b link/run ./d/../d/run "$PWD/d" new/../d/run new/a/../../link/run; do
        fails_with 2 "$CUPEL" train "$TINY" --data d --out "$out"
        says "$out lies inside the data folder"
        says "--out"
    done
    (cd d && fails_with 2 "$CUPEL" train "$TINY" --data . && says "--out")
    [ "$(ls d | wc -l)" -eq "$(ls "$SAMPLE" | wc -l)" ]
    [ ! -e new ]
    "$CUPEL" train "$TINY" --data d --out d-run --quiet --epochs 1
}

@test "an output folder anywhere in the data folder is refused" {
    mkdir -p sets/sample sets/other
    cp "$SAMPLE"/* sets/sample
    cp "$SAMPLE"/* sets/other
    local out
    for out in sets/other sets/other/run sets/sample/run sets/run; do
        fails_with 2 "$CUPEL" train "$TINY" --data sets --set anomaly.foreign_set=other --out "$out"
        says "$out lies inside the data folder sets"
        fails_with 2 "$CUPEL" train "$TINY" --data sets --out "$out"
    done
    CUPEL_DATA=sets fails_with 2 "$CUPEL" train "$TINY" --set anomaly.foreign_set=other \
        --out sets/other/run
    [ "$(ls sets/other | wc -l)" -eq "$(ls "$SAMPLE" | wc -l)" ]
    [ "$(ls sets)" = "$(printf 'other\nsample')" ]
}

@test "a run that was killed as it began gives way to the next" {
    local file
    mkdir begun
    for file in env.json split.json plan.json; do
        cp "$RUN/$file" begun
        fails_with 4 "$CUPEL" train --resume begun
        says "killed as it began"
        says "start it again"
    done
    tiny begun
    same_run "$RUN" begun
    mkdir mine # one file of such a name may be anybody's
    cp "$RUN/plan.json" mine
    fails_with 2 "$CUPEL" train "$TINY" --data "$RECIPES" --out mine
    says "mine holds a run already"
    [ "$(ls mine)" = plan.json ]
}

@test "no HOME and no cache folder" {
    env -i OMP_WAIT_POLICY=passive "$CUPEL" train "$TINY" --data "$RECIPES" --out out --quiet
    same_run "$RUN" out
    env -i OMP_WAIT_POLICY=passive "$CUPEL" score out "$SAMPLE" >/dev/null
    for setting in A=b HOME= HOME=/none XDG_CACHE_HOME=/none XDG_CACHE_HOME=relative; do
        fails_with 4 env -i "$setting" "$CUPEL" train "$TINY" --out none
        says "--data"
    done
}

@test "temporary files of a killed writer are gone after the next resume, and nobody else's" {
    cp -r "$RUN" q
    local code=0
    CUPEL_KILL_AT=state.safetensors:half:1 preloaded "$CUPEL" train --resume q --epochs 4 --quiet ||
        code=$?
    [ "$code" -eq 137 ]
    [ -n "$(find q -name '.state.safetensors.tmp-*')" ]
    touch q/.notes.tmp-1-1
    "$CUPEL" train --resume q --epochs 4 --quiet
    [ "$(find q -name '.*.tmp-*')" = q/.notes.tmp-1-1 ]
}

@test "a loss that becomes NaN: exit code 6, the node, and the last good state" {
    fails_with 6 "$CUPEL" train "$TINY" --data "$RECIPES" --out out --epochs 50 \
        --set train.optimizer=sgd --lr 0.01 --set train.momentum=0.99
    says "the loss is not finite at step"
    says "node '"
    says "Lower train.learning_rate"
    says "kept in out"
    no_temporaries out
    local epochs
    epochs=$(wc -l <out/metrics.jsonl)
    [ "$epochs" -gt 0 ]
    if grep -i -E 'nan|inf' out/metrics.jsonl; then false; fi
    "$CUPEL" score out --weights last "$SAMPLE" >/dev/null # what was saved is whole
    # The same again from the saved state: nothing of the failed step was kept.
    local sentence
    sentence=$(grep 'not finite' out/log.txt | cut -d' ' -f2-)
    fails_with 6 "$CUPEL" train --resume out
    says "$sentence"
    [ "$(wc -l <out/metrics.jsonl)" -eq "$epochs" ]
}

# Weights that overflow for images with a pixel at the upper left, and for no others.
fragile() { # IN OUT
    perl -e 'local $/; open my $in, "<:raw", $ARGV[0] or die; my $file = <$in>;
        my $n = unpack "Q<", $file; my $h = substr $file, 8, $n;
        my ($begin) = $h =~ /"encoder.fc.weight":.*?"data_offsets":\[(\d+)/ or die;
        substr($file, 8 + $n + $begin + 4 * 784 * $_, 4) = pack "f<", 1e38 for 0 .. 99;
        open my $out, ">:raw", $ARGV[1] or die; print $out $file;' "$1" "$2"
}

@test "NaN in one image's score: that image has none, the others keep theirs" {
    fragile "$RUN/best.safetensors" fragile.safetensors
    perl -e 'print pack("CCCCNNN", 0, 0, 8, 3, 3, 28, 28), "\0" x 784, "\xff", "\0" x 783,
        "\0" x 400, "\x80" x 384' >three-images-idx3-ubyte
    run --separate-stderr "$CUPEL" score fragile.safetensors three-images-idx3-ubyte
    [ "$status" -eq 0 ]
    [[ ${lines[1]} =~ ^three-images-idx3-ubyte#0,,[0-9.]+,[0-9.]+,[01], ]]
    [[ ${lines[2]} =~ ^three-images-idx3-ubyte#1,,,[^,]*,, ]]
    [[ ${lines[3]} =~ ^three-images-idx3-ubyte#2,,[0-9.]+,[0-9.]+,[01], ]]
    case $stderr in *"three-images-idx3-ubyte#1 has no finite score"*) ;; *) false ;; esac
}

# A data set whose test split is 20 images; labels as given.
small_test() { # FOLDER LABELS PIXELS: pieces of Perl
    mkdir -p "$1/sample"
    cp "$SAMPLE"/train* "$1/sample"
    perl -e 'my @l = eval $ARGV[0]; my $p = eval $ARGV[1]; open my $i, ">:raw", "$ARGV[2]/t10k-images-idx3-ubyte";
        print $i pack("CCCCNNN", 0, 0, 8, 3, 20, 28, 28), $p;
        open my $o, ">:raw", "$ARGV[2]/t10k-labels-idx1-ubyte";
        print $o pack("CCCCNC*", 0, 0, 8, 1, 20, @l);' "$2" "$3" "$1/sample"
}

@test "all scores equal: AUROC is one half, and nothing is divided by nothing" {
    small_test equal 'map { $_ % 2 } 0 .. 19' '"\x40" x (784 * 20)'
    run --separate-stderr "$CUPEL" eval "$RUN" --data equal --json
    [ "$status" -eq 0 ]
    says '"auroc": 0.5'
    case $output in *nan* | *inf*) false ;; esac
    run --separate-stderr "$CUPEL" eval "$RUN" --data equal
    [ "$status" -eq 0 ]
    case $output in *nan* | *inf*) false ;; esac
}

@test "evaluation with one class only: null with a reason" {
    local label
    for label in 0 1; do
        rm -rf single
        small_test single "($label) x 20" 'join "", map { chr($_ % 251) } 1 .. 784 * 20'
        run --separate-stderr "$CUPEL" eval "$RUN" --data single --json
        [ "$status" -eq 0 ]
        says '"auroc": null, "auroc_reason": "there are no '
        case $output in *nan* | *inf*) false ;; esac
    done
    rm -rf single
    small_test single '(99) x 20' '"\x40" x (784 * 20)'
    fails_with 3 "$CUPEL" eval "$RUN" --data single
    says "0 to 99"
}

@test "two processes on one run folder: the second is refused and changes nothing" {
    cp -r "$RUN" q
    local child code=0 before
    env --default-signal=TERM "$CUPEL" train --resume q --epochs 100000 --quiet 2>/dev/null 3>&- &
    child=$!
    more_than_three() { [ "$(wc -l <q/metrics.jsonl)" -gt 3 ]; }
    wait_until more_than_three
    fails_with 1 "$CUPEL" train --resume q
    says "q is in use by another process"
    fails_with 1 "$CUPEL" train "$TINY" --data "$RECIPES" --out q --force
    says "in use"
    "$CUPEL" score q "$SAMPLE" >/dev/null # reading is free
    kill -TERM "$child"
    wait "$child" || code=$?
    [ "$code" -eq 143 ]
    "$CUPEL" train --resume q --epochs "$(($(wc -l <q/metrics.jsonl) + 1))" --quiet
}
