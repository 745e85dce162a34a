# cupel train as a user runs it: the files it leaves, bits that repeat, kills, signals, bad input.

load support/cli.bash

setup_file() {
    export RUN=$BATS_FILE_TMPDIR/run
    tiny "$RUN" --set train.checkpoint_steps=1 || return 1
}

@test "a run leaves its files, and says where" {
    run --separate-stderr "$CUPEL" train "$TINY" --data "$RECIPES" --out "$BATS_TEST_TMPDIR/a"
    [ "$status" -eq 0 ]
    [ "$output" = "$BATS_TEST_TMPDIR/a" ]
    for file in config.yaml split.json plan.json env.json metrics.jsonl state.safetensors \
        last.safetensors best.safetensors log.txt; do
        [ -s "$BATS_TEST_TMPDIR/a/$file" ]
    done
    [ "$(ls -A "$BATS_TEST_TMPDIR/a" | wc -l)" -eq 9 ]
    [ "$(wc -l <"$BATS_TEST_TMPDIR/a/metrics.jsonl")" -eq 3 ]
}

@test "without --out the folder is runs/NAME-N" {
    cd "$BATS_TEST_TMPDIR"
    for number in 1 2; do
        run --separate-stderr "$CUPEL" train "$TINY" --data "$RECIPES" --epochs 1 --quiet
        [ "$status" -eq 0 ]
        [ "$output" = "runs/tiny-$number" ]
        [ -s "runs/tiny-$number/state.safetensors" ]
    done
}

@test "two runs are the same bytes, also with three workers" {
    tiny "$BATS_TEST_TMPDIR/b" --set train.checkpoint_steps=1
    same_run "$RUN" "$BATS_TEST_TMPDIR/b"
    tiny "$BATS_TEST_TMPDIR/c" --set train.checkpoint_steps=1 --workers 3
    same_run "$RUN" "$BATS_TEST_TMPDIR/c"
}

@test "how often a run is saved changes no byte of what it ends with" {
    tiny "$BATS_TEST_TMPDIR/d" --set train.checkpoint_steps=2 --set train.checkpoint_minutes=0
    same_run "$RUN" "$BATS_TEST_TMPDIR/d"
    tiny "$BATS_TEST_TMPDIR/e" --set train.checkpoint_minutes=.0001 --epochs 2
    "$CUPEL" train --resume "$BATS_TEST_TMPDIR/e" --epochs 3 --quiet
    same_run "$RUN" "$BATS_TEST_TMPDIR/e"
    grep -q "checkpoint_minutes: 0.0001" "$BATS_TEST_TMPDIR/e/config.yaml"
}

@test "another seed gives other bytes" {
    tiny "$BATS_TEST_TMPDIR/s" --seed 7
    ! cmp -s "$RUN/last.safetensors" "$BATS_TEST_TMPDIR/s/last.safetensors"
}

@test "without oneDNN one and two compute threads give the same bytes" {
    export CUPEL_DISABLE=onednn
    tiny "$BATS_TEST_TMPDIR/one"
    tiny "$BATS_TEST_TMPDIR/two" --threads 2
    same_run "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two"
}

conv() { # FOLDER [option...]: two full batches and a smaller one of the convolutional network
    local out=$1
    shift
    "$CUPEL" train "$RECIPES/demo.yaml" --data "$RECIPES" --set data.limit=60 \
        --set data.held_out=20 --epochs 2 --threads 2 --out "$out" --quiet "$@"
}

@test "the convolutional network repeats too: three workers, and killed and resumed" {
    conv "$BATS_TEST_TMPDIR/a" --set train.checkpoint_steps=1
    conv "$BATS_TEST_TMPDIR/b" --set train.checkpoint_steps=1 --workers 3
    same_run "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
    local run=$BATS_TEST_TMPDIR/c child
    "$CUPEL" train "$RECIPES/demo.yaml" --data "$RECIPES" --set data.limit=60 \
        --set data.held_out=20 --epochs 2 --threads 2 --out "$run" --quiet \
        --set train.checkpoint_steps=1 3>&- >/dev/null 2>&1 &
    child=$!
    until [ -e "$run/state.safetensors" ] || ! kill -0 "$child" 2>/dev/null; do sleep 0.01; done
    kill -9 "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
    "$CUPEL" train --resume "$run" --quiet
    same_run "$BATS_TEST_TMPDIR/a" "$run"
}

@test "a plan file is followed, and one of another machine refused" {
    tiny "$BATS_TEST_TMPDIR/p" --set train.checkpoint_steps=1 --plan-file "$RUN/plan.json"
    same_run "$RUN" "$BATS_TEST_TMPDIR/p"
    sed 's/"kernel_library": "[^"]*"/"kernel_library": "abacus 1"/' "$RUN/plan.json" \
        >"$BATS_TEST_TMPDIR/plan.json"
    fails_with 5 tiny "$BATS_TEST_TMPDIR/q" --plan-file "$BATS_TEST_TMPDIR/plan.json"
    says "abacus 1"
    says "Use the same, or plan anew (without --plan-file)"
    # What is of no node here does not stay in the run's own plan.
    sed '/"choices"/a {"program": "train", "node": "other", "op": "matmul", "key": "0000000000000000", "layout": "plain", "kernel": "ref", "revision": 1},' \
        "$RUN/plan.json" >"$BATS_TEST_TMPDIR/plan.json"
    tiny "$BATS_TEST_TMPDIR/r" --plan-file "$BATS_TEST_TMPDIR/plan.json"
    cmp "$RUN/plan.json" "$BATS_TEST_TMPDIR/r/plan.json"
    fails_with 4 tiny "$BATS_TEST_TMPDIR/q" --plan-file "$BATS_TEST_TMPDIR/none.json"
    fails_with 3 tiny "$BATS_TEST_TMPDIR/q" --plan-file "$RUN/config.yaml"
    [ ! -e "$BATS_TEST_TMPDIR/q" ]
}

@test "a measured plan is kept: its plan.json gives the same bytes, also when it is resumed" {
    local a=$BATS_TEST_TMPDIR/a b=$BATS_TEST_TMPDIR/b
    conv "$a" --plan measure --set data.limit=40
    cp "$a/plan.json" "$BATS_TEST_TMPDIR/plan.json"
    conv "$b" --plan-file "$BATS_TEST_TMPDIR/plan.json" --set data.limit=40
    same_run "$a" "$b"
    cmp "$a/plan.json" "$b/plan.json"
    "$CUPEL" train --resume "$a" --epochs 3 --quiet
    "$CUPEL" train --resume "$b" --epochs 3 --quiet
    same_run "$a" "$b"
    cmp "$BATS_TEST_TMPDIR/plan.json" "$a/plan.json"
}

@test "the resolved recipe repeats the run" {
    "$CUPEL" train "$RUN/config.yaml" --data "$RECIPES" --out "$BATS_TEST_TMPDIR/again" --quiet
    same_run "$RUN" "$BATS_TEST_TMPDIR/again"
}

@test "a German locale changes nothing" {
    in_german "$CUPEL" train "$TINY" --data "$RECIPES" --out "$BATS_TEST_TMPDIR/de" --quiet \
        --set train.checkpoint_steps=1
    same_run "$RUN" "$BATS_TEST_TMPDIR/de"
    ! grep -q '[0-9],[0-9]' "$BATS_TEST_TMPDIR/de/metrics.jsonl"
}

# Trains in the background, from the beginning or on; $! is the program itself.
start_or_go_on() { # FOLDER
    if [ -e "$1/config.yaml" ]; then
        "$CUPEL" train --resume "$1" --data "$RECIPES" --quiet >/dev/null 2>&1 3>&- &
    else
        "$CUPEL" train "$TINY" --data "$RECIPES" --set train.checkpoint_steps=1 --out "$1" --force \
            --quiet >/dev/null 2>&1 3>&- &
    fi
}

finish() { # FOLDER
    start_or_go_on "$1"
    wait $!
}

@test "killed with kill -9 again and again and resumed: the same bytes" {
    local run=$BATS_TEST_TMPDIR/killed kills=0 delay
    for delay in 0.02 0.04 0.06 0.08 0.1 0.05; do
        start_or_go_on "$run"
        local child=$!
        sleep "$delay"
        kill -9 "$child" 2>/dev/null && kills=$((kills + 1))
        wait "$child" 2>/dev/null || true
    done
    finish "$run"
    [ "$kills" -gt 0 ]
    same_run "$RUN" "$run"
    [ -z "$(find "$run" -name '.*.tmp-*')" ]
}

@test "killed in the middle of an epoch and resumed: the same bytes" {
    local run=$BATS_TEST_TMPDIR/cut tries
    for tries in $(seq 20); do
        rm -rf "$run"
        start_or_go_on "$run"
        local child=$!
        until [ -e "$run/state.safetensors" ] || ! kill -0 "$child" 2>/dev/null; do :; done
        kill -9 "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
        grep -q '"cupel.batch":"[1-5]"' "$run/state.safetensors" && break
    done
    grep -q '"cupel.batch":"[1-5]"' "$run/state.safetensors"
    finish "$run"
    same_run "$RUN" "$run"
}

signal_test() { # NAME CODE
    local run=$BATS_TEST_TMPDIR/signal code=0
    # Far more epochs than the test waits for.
    # A shell without job control switches SIGINT off for what it starts in the background.
    env --default-signal=INT "$CUPEL" train "$TINY" --data "$RECIPES" --epochs 100000 --out "$run" \
        --quiet 2>"$BATS_TEST_TMPDIR/err" 3>&- &
    local child=$!
    wait_until [ -e "$run/best.safetensors" ]
    kill "-$1" "$child"
    wait "$child" || code=$?
    [ "$code" -eq "$2" ] || { echo "exit code $code, not $2"; return 1; }
    grep -q "cupel train --resume $run" "$BATS_TEST_TMPDIR/err"
    local done
    done=$(wc -l <"$run/metrics.jsonl")
    "$CUPEL" train --resume "$run" --epochs $((done + 1)) --quiet
    [ "$(wc -l <"$run/metrics.jsonl")" -eq $((done + 1)) ]
}

@test "SIGINT saves, says how to resume, and exits with 130" { signal_test INT 130; }
@test "SIGTERM saves, says how to resume, and exits with 143" { signal_test TERM 143; }
@test "SIGHUP saves, says how to resume, and exits with 129" { signal_test HUP 129; }

@test "SIGINT ends a training that waits for a file nobody writes" {
    local run=$BATS_TEST_TMPDIR/run code what
    mkfifo "$BATS_TEST_TMPDIR/pipe"
    for what in "$BATS_TEST_TMPDIR/pipe" "$TINY --plan-file $BATS_TEST_TMPDIR/pipe"; do
        code=0
        env --default-signal=INT "$CUPEL" train $what --data "$RECIPES" --out "$run" 2>/dev/null \
            3>&- &
        local child=$!
        sleep 0.5
        kill -INT "$child"
        for _ in $(seq 500); do
            kill -0 "$child" 2>/dev/null || break
            sleep 0.01
        done
        kill -9 "$child" 2>/dev/null && { echo "it went on"; return 1; }
        wait "$child" || code=$?
        [ "$code" -eq 130 ]
        [ ! -e "$run" ]
    done
}

@test "signals that were switched off stay off, as under nohup" {
    local run=$BATS_TEST_TMPDIR/nohup code=0
    env --ignore-signal=HUP --ignore-signal=INT "$CUPEL" train "$TINY" --data "$RECIPES" \
        --epochs 100000 --out "$run" --quiet 2>/dev/null 3>&- &
    local child=$! name
    wait_until [ -e "$run/best.safetensors" ]
    kill -HUP "$child"
    kill -INT "$child"
    sleep 0.3
    kill -TERM "$child"
    wait "$child" || code=$?
    [ "$code" -eq 143 ] || { echo "exit code $code"; return 1; }
}

@test "a finished run can be resumed with more epochs, and equals one that had them from the start" {
    cp -r "$RUN" "$BATS_TEST_TMPDIR/more"
    "$CUPEL" train --resume "$BATS_TEST_TMPDIR/more" --epochs 4 --quiet
    tiny "$BATS_TEST_TMPDIR/four" --set train.checkpoint_steps=1 --epochs 4
    same_run "$BATS_TEST_TMPDIR/more" "$BATS_TEST_TMPDIR/four"
}

@test "resuming a finished run says so" {
    local run=$BATS_TEST_TMPDIR/done
    cp -r "$RUN" "$run"
    run "$CUPEL" train --resume "$run"
    [ "$status" -eq 0 ]
    says "already finished: epoch 3 of 3 is done; train on with --epochs N"
    case $output in *"resuming at"*) false ;; esac
    grep -q "resumed; all 3 epochs were done" "$run/log.txt"
}

@test "state.safetensors with config.yaml is enough to resume" {
    local bare=$BATS_TEST_TMPDIR/bare whole=$BATS_TEST_TMPDIR/whole
    mkdir "$bare"
    cp "$RUN/state.safetensors" "$RUN/config.yaml" "$bare"
    "$CUPEL" train --resume "$bare" --data "$RECIPES" --epochs 4 --quiet
    cp -r "$RUN" "$whole"
    "$CUPEL" train --resume "$whole" --epochs 4 --quiet
    cmp "$bare/last.safetensors" "$whole/last.safetensors"
    [ "$(timeless "$bare")" = "$(timeless "$whole" | tail -n 1)" ]
}

@test "state.safetensors alone is enough to resume, and a missing metrics.jsonl is told" {
    local alone=$BATS_TEST_TMPDIR/alone whole=$BATS_TEST_TMPDIR/whole
    mkdir "$alone"
    cp "$RUN/state.safetensors" "$alone"
    run "$CUPEL" train --resume "$alone" --data "$RECIPES" --epochs 4
    [ "$status" -eq 0 ] || { echo "$output"; return 1; }
    says "warning: metrics.jsonl is missing"
    grep -q "metrics.jsonl is missing" "$alone/log.txt"
    cp -r "$RUN" "$whole"
    "$CUPEL" train --resume "$whole" --epochs 4 --quiet
    cmp "$alone/last.safetensors" "$whole/last.safetensors"
    [ "$(wc -l <"$alone/metrics.jsonl")" -eq 1 ]
    head -n 2 "$RUN/metrics.jsonl" >"$alone/metrics.jsonl"
    cp "$RUN/state.safetensors" "$alone"
    run "$CUPEL" train --resume "$alone" --epochs 4
    [ "$status" -eq 0 ]
    says "warning: metrics.jsonl is shorter"
    run "$CUPEL" train --resume "$alone" --epochs 5
    [ "$status" -eq 0 ]
    [[ "$output" != *warning* ]]
}

@test "weights or metrics of several epochs without their state are not written over" {
    local lost=$BATS_TEST_TMPDIR/lost before name
    cp -r "$RUN" "$lost"
    mv "$lost/state.safetensors" "$BATS_TEST_TMPDIR/copy"
    before=$(cd "$lost" && cat ./* | cksum)
    fails_with 4 "$CUPEL" train --resume "$lost"
    says "$lost has the metrics of more than one epoch and no state.safetensors"
    says "put the state back from a copy"
    says "--force"
    [ "$(cd "$lost" && cat ./* | cksum)" = "$before" ]
    rm "$lost/metrics.jsonl"
    for name in last best; do
        fails_with 4 "$CUPEL" train --resume "$lost" --quiet
        says "has the weights of more than one epoch"
        rm "$lost/$name.safetensors"
        [ "$name" = last ] || break
    done
    run "$CUPEL" train --resume "$lost" --quiet # nothing is left to lose
    [ "$status" -eq 0 ]
    says "warning: no state was saved: starting again at step 0"
    same_run "$lost" "$RUN"
}

@test "a run killed between the weights and the state of its first epoch starts again, and says so" {
    local run=$BATS_TEST_TMPDIR/first code=0
    CUPEL_KILL_AT=state.safetensors:created:1 preloaded "$CUPEL" train "$TINY" --data "$RECIPES" \
        --out "$run" --quiet || code=$?
    [ "$code" -eq 137 ]
    [ -e "$run/last.safetensors" ] && [ "$(wc -l <"$run/metrics.jsonl")" -eq 1 ]
    run "$CUPEL" train --resume "$BATS_TEST_TMPDIR/first" --quiet
    [ "$status" -eq 0 ]
    says "warning: no state was saved: starting again at step 0"
    tiny "$BATS_TEST_TMPDIR/whole"
    same_run "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/whole"
}

@test "the state of a finished run brings its weights back" {
    local alone=$BATS_TEST_TMPDIR/finished
    mkdir "$alone"
    cp "$RUN/state.safetensors" "$alone"
    "$CUPEL" train --resume "$alone" --data "$RECIPES" --quiet
    cmp "$alone/last.safetensors" "$RUN/last.safetensors"
    "$CUPEL" score "$alone" --weights last "$RECIPES/sample" >/dev/null
}

# Starts a training in the background that waits, before it takes its folder, until a plan is
# written into the pipe; $! is the program.
start_waiting() { # PIPE [option...]
    local pipe=$1
    shift
    mkfifo "$pipe"
    "$CUPEL" train "$TINY" --data "$RECIPES" --epochs 1 --quiet --plan-file "$pipe" "$@" \
        >"$pipe.out" 2>"$pipe.err" 3>&- &
}

@test "a run that another process finished meanwhile is not wiped" {
    local run=$BATS_TEST_TMPDIR/race code=0
    start_waiting "$BATS_TEST_TMPDIR/pipe" --out "$run" --seed 9
    local child=$!
    exec 7>"$BATS_TEST_TMPDIR/pipe" # returns when the other end is open
    tiny "$run" --set train.checkpoint_steps=1
    cat "$RUN/plan.json" >&7
    exec 7>&-
    wait "$child" || code=$?
    [ "$code" -eq 2 ] || { echo "exit code $code"; return 1; }
    grep -q -e --force "$BATS_TEST_TMPDIR/pipe.err"
    same_run "$RUN" "$run"
}

@test "runs without --out that start together take different folders" {
    cd "$BATS_TEST_TMPDIR"
    start_waiting pipe
    local child=$!
    exec 7>pipe
    "$CUPEL" train "$TINY" --data "$RECIPES" --epochs 1 --quiet
    mkdir runs/tiny-2
    local holder
    hold_lock runs/tiny-2
    cat "$RUN/plan.json" >&7
    exec 7>&-
    wait "$child" || { cat pipe.err; kill "$holder"; return 1; }
    kill "$holder"
    [ "$(cat pipe.out)" = runs/tiny-3 ]
    [ -s runs/tiny-1/state.safetensors ]
    [ -s runs/tiny-3/state.safetensors ]
}

# Every file of a folder with its time and bytes.
look_at() {
    (cd "$1" && ls -la --time-style=full-iso && cat ./* .[a-z]*) | cksum
}

@test "--resume --dry-run changes nothing" {
    local run=$BATS_TEST_TMPDIR/dry
    cp -r "$RUN" "$run"
    echo rest >>"$run/metrics.jsonl" # as a kill may leave it
    touch "$run/.state.safetensors.tmp-1-1"
    local before
    before=$(look_at "$run")
    "$CUPEL" train --resume "$run" --epochs 4 --dry-run --replan --quiet
    [ "$(look_at "$run")" = "$before" ]
}

@test "what cannot change when resuming is refused by its key, with both values" {
    local run=$BATS_TEST_TMPDIR/edited
    cp -r "$RUN" "$run"
    sed -i 's/learning_rate: .*/learning_rate: 0.25/' "$run/config.yaml"
    fails_with 5 "$CUPEL" train --resume "$run" --epochs 4
    says "config.yaml:"
    says "train.learning_rate is 0.25"
    says "trained with 0.001"
    cp "$RUN/config.yaml" "$run"
    sed -i 's/latent: .*/latent: 6/' "$run/config.yaml"
    fails_with 5 "$CUPEL" train --resume "$run" --epochs 4
    says "model.latent is 6"
    cp "$RUN/config.yaml" "$run"
    sed -i 's/seed: .*/seed: 3/' "$run/config.yaml"
    fails_with 5 "$CUPEL" train --resume "$run" --epochs 4
    says "seed is 3"
    cp "$RUN/config.yaml" "$run"
    fails_with 2 "$CUPEL" train --resume "$run" --epochs 2
    says "train.epochs is 2"
    fails_with 2 "$CUPEL" train --resume "$run" --lr 0.25
    says "--lr cannot change"
    sed -i -e 's/checkpoint_steps: .*/checkpoint_steps: 7/' -e 's/workers: .*/workers: 2/' \
        -e 's/epochs: .*/epochs: 4/' "$run/config.yaml"
    "$CUPEL" train --resume "$run" --quiet
    [ "$(wc -l <"$run/metrics.jsonl")" -eq 4 ]
}

@test "an existing run is refused, and replaced by --force" {
    fails_with 2 tiny "$RUN"
    says "--resume"
    says "--force"
    cp -r "$RUN" "$BATS_TEST_TMPDIR/old"
    echo keep >"$BATS_TEST_TMPDIR/old/notes.txt"
    tiny "$BATS_TEST_TMPDIR/old" --force --set train.checkpoint_steps=1
    same_run "$RUN" "$BATS_TEST_TMPDIR/old"
    [ "$(cat "$BATS_TEST_TMPDIR/old/notes.txt")" = keep ]
}

@test "a folder in use by another process is refused" {
    local run=$BATS_TEST_TMPDIR/locked
    cp -r "$RUN" "$run"
    local holder
    hold_lock "$run"
    fails_with 1 "$CUPEL" train --resume "$run" --epochs 4
    kill "$holder"
    says "in use"
}

@test "--dry-run checks everything and writes nothing" {
    mkdir "$BATS_TEST_TMPDIR/empty"
    cd "$BATS_TEST_TMPDIR/empty"
    run --separate-stderr "$CUPEL" train "$TINY" --data "$RECIPES" --dry-run
    [ "$status" -eq 0 ]
    [ -z "$output" ] # stdout names the run's folder, and there is none
    [[ "$stderr" == *"nothing was trained or written (--dry-run)"* ]]
    run "$CUPEL" train "$TINY" --data "$RECIPES" --dry-run --quiet
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [ -z "$(ls -A)" ]
}

@test "--json prints a line an epoch" {
    run --separate-stderr "$CUPEL" train "$TINY" --data "$RECIPES" --out "$BATS_TEST_TMPDIR/j" --json --quiet
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 3 ]
    says '"train_negated_elbo": '
    says '"held_out_negated_elbo": '
    [ "$output" = "$(cat "$BATS_TEST_TMPDIR/j/metrics.jsonl")" ]
}

@test "a plan of other threads is refused by name, and --replan goes on" {
    local run=$BATS_TEST_TMPDIR/plan
    cp -r "$RUN" "$run"
    if grep -q '"kernel": "onednn' "$run/plan.json"; then
        fails_with 5 "$CUPEL" train --resume "$run" --epochs 4 --threads 2
        says "threads"
        says "--replan"
    fi
    sed -i 's/"instruction_set": "[^"]*"/"instruction_set": "abacus"/' "$run/plan.json"
    fails_with 5 "$CUPEL" train --resume "$run" --epochs 4
    says "instruction_set"
    says "abacus"
    "$CUPEL" train --resume "$run" --epochs 4 --replan --quiet
    [ "$(wc -l <"$run/metrics.jsonl")" -eq 4 ]
}

@test "after --replan a plain --resume goes on, however soon the kill came" {
    local run=$BATS_TEST_TMPDIR/replan
    cp -r "$RUN" "$run"
    sed -i 's/"instruction_set": "[^"]*"/"instruction_set": "abacus"/' "$run/plan.json"
    # Other kernels than the run's; all epochs are done, so nothing but the resuming happens.
    CUPEL_DISABLE=onednn "$CUPEL" train --resume "$run" --replan --quiet
    CUPEL_DISABLE=onednn "$CUPEL" train --resume "$run" --epochs 4 --quiet
}

@test "without oneDNN a run goes on with other threads" {
    export CUPEL_DISABLE=onednn
    tiny "$BATS_TEST_TMPDIR/one" --epochs 2
    "$CUPEL" train --resume "$BATS_TEST_TMPDIR/one" --threads 2 --epochs 3 --quiet
    tiny "$BATS_TEST_TMPDIR/three"
    same_run "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/three"
}

@test "bad recipes: exit code 3, the key and the nearest one named" {
    printf 'train:\n  epocs: 3\n' >"$BATS_TEST_TMPDIR/r.yaml"
    fails_with 3 "$CUPEL" train "$BATS_TEST_TMPDIR/r.yaml"
    says "train.epochs"
    printf 'train:\n  epochs: 0\n' >"$BATS_TEST_TMPDIR/r.yaml"
    fails_with 3 "$CUPEL" train "$BATS_TEST_TMPDIR/r.yaml"
    fails_with 4 "$CUPEL" train "$BATS_TEST_TMPDIR/none.yaml"
    fails_with 2 "$CUPEL" train "$TINY" --epochs 0
    fails_with 2 "$CUPEL" train "$TINY" --set train.epocs=3
    fails_with 2 "$CUPEL" train
}

@test "messages name the line or the option that a value is from" {
    sed 's/batch: 40/batch: 4000/' "$TINY" >"$BATS_TEST_TMPDIR/large.yaml"
    local out=$BATS_TEST_TMPDIR/none line
    line=$(grep -n "batch: 4000" "$BATS_TEST_TMPDIR/large.yaml" | cut -d: -f1)
    fails_with 3 "$CUPEL" train "$BATS_TEST_TMPDIR/large.yaml" --data "$RECIPES" --out "$out"
    says "large.yaml:$line: train.batch"
    fails_with 3 "$CUPEL" train "$TINY" --data "$RECIPES" --out "$out" --batch 4000
    says "--batch: train.batch"
    fails_with 3 "$CUPEL" train "$TINY" --data "$RECIPES" --out "$out" --set data.held_out=5000
    says "--set: data.held_out"
}

@test "the reconstruction term follows the model" {
    printf 'model: {name: mlp-vae}\n' >"$BATS_TEST_TMPDIR/mlp.yaml"
    "$CUPEL" train "$BATS_TEST_TMPDIR/mlp.yaml" --data "$RECIPES" --dry-run --quiet \
        --set data.set=sample --set model.image=28
    fails_with 3 "$CUPEL" train "$BATS_TEST_TMPDIR/mlp.yaml" --data "$RECIPES" --dry-run --quiet \
        --set data.set=sample --set model.image=28 --set loss.reconstruction=squared-error
    says "--set: loss.reconstruction"
}

@test "a metrics.jsonl that cannot be written is named with its folder" {
    local run=$BATS_TEST_TMPDIR/blocked
    cp -r "$RUN" "$run"
    rm "$run/metrics.jsonl"
    mkdir "$run/metrics.jsonl"
    fails_with 4 "$CUPEL" train --resume "$run" --epochs 4
    says "$run/metrics.jsonl"
}

@test "bad data: exit codes, and no folder is made" {
    local out=$BATS_TEST_TMPDIR/none
    fails_with 4 "$CUPEL" train "$TINY" --data "$BATS_TEST_TMPDIR" --out "$out"
    fails_with 3 "$CUPEL" train "$TINY" --data "$RECIPES" --out "$out" --set data.limit=10
    says "train.batch"
    fails_with 3 "$CUPEL" train "$TINY" --data "$RECIPES" --out "$out" --set model.image=32
    fails_with 3 "$CUPEL" train "$TINY" --data "$RECIPES" --out "$out" --set data.normal_classes=77
    fails_with 3 "$CUPEL" train "$TINY" --data "$RECIPES" --out "$out" --set data.held_out=5000
    mkdir "$BATS_TEST_TMPDIR/bad"
    cp "$SAMPLE"/train-labels* "$BATS_TEST_TMPDIR/bad"
    head -c 100000 "$SAMPLE/train-images-idx3-ubyte.gz" \
        >"$BATS_TEST_TMPDIR/bad/train-images-idx3-ubyte.gz"
    fails_with 3 "$CUPEL" train "$TINY" --data "$BATS_TEST_TMPDIR/bad" --out "$out"
    [ ! -e "$out" ]
}

@test "a loss that is not finite: exit code 6, the node named, the last good state kept" {
    local run=$BATS_TEST_TMPDIR/nan
    fails_with 6 tiny "$run" --epochs 50 --set train.optimizer=sgd --lr 10 \
        --set train.momentum=0.99
    says "node '"
    [ -z "$(find "$run" -name '.*.tmp-*')" ]
}

@test "a folder that cannot be written: exit code 4" {
    fails_with 4 tiny /proc/none/run
}

@test "a collapsed posterior is told, a healthy one is not" {
    run --separate-stderr "$CUPEL" train "$TINY" --data "$RECIPES" --out "$BATS_TEST_TMPDIR/a" \
        --set loss.kl_weight=1000000
    [ "$status" -eq 0 ]
    [[ "$stderr" == *"the posterior has collapsed"*"train.warmup_steps"* ]]
    run --separate-stderr "$CUPEL" train "$TINY" --data "$RECIPES" --out "$BATS_TEST_TMPDIR/b"
    [ "$status" -eq 0 ]
    [[ "$stderr" != *collapsed* ]]
}
