# The command line as a whole: help, version, hints, inspect, bench.

load support/cli.bash

@test "--version and help go to stdout" {
    run --separate-stderr "$CUPEL" --version
    [ "$status" -eq 0 ]
    [[ $output =~ ^cupel\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
    run --separate-stderr "$CUPEL" help
    [ "$status" -eq 0 ]
    says "train"
    for command in train score eval inspect bench help; do
        run --separate-stderr "$CUPEL" "$command" --help
        [ "$status" -eq 0 ]
        says "usage: cupel $command"
        local text=$output
        run --separate-stderr "$CUPEL" help "$command"
        [ "$output" = "$text" ]
    done
}

@test "without a command, usage and exit code 2" {
    fails_with 2 "$CUPEL"
    says "usage:"
}

@test "near commands and options get a hint" {
    fails_with 2 "$CUPEL" predict
    says "cupel score"
    fails_with 2 "$CUPEL" tarin
    says "cupel train"
    fails_with 2 "$CUPEL" frobnicate
    says "cupel help"
    fails_with 2 "$CUPEL" train "$TINY" --epoch 3
    says "--epochs"
    fails_with 2 "$CUPEL" train "$TINY" --epochs
    says "needs a value"
    fails_with 2 "$CUPEL" train "$TINY" --force=yes
    says "takes no value"
    fails_with 2 "$CUPEL" train "$TINY" --seed 1 --seed 2
    says "twice"
    fails_with 2 "$CUPEL" train "$TINY" -x
    fails_with 2 "$CUPEL" score "$TINY" x --epochs 3
}

@test "a hint is near, or there is none" {
    fails_with 2 "$CUPEL" score run x --seed 3 # not --sheet
    case $output in *"did you mean"*) false ;; esac
    says "see cupel help score"
    fails_with 2 "$CUPEL" score run x --shet y
    says "did you mean --sheet?"
    fails_with 2 "$CUPEL" bunch
    says "did you mean cupel bench?"
    fails_with 2 "$CUPEL" hats
    case $output in *"did you mean"*) false ;; esac
}

@test "options that do nothing alone, and values that mean nothing" {
    fails_with 2 "$CUPEL" train "$TINY" --replan
    says "--resume"
    fails_with 2 "$CUPEL" score run images --top 3
    says "--sheet"
    : >"$BATS_TEST_TMPDIR/weights.safetensors"
    fails_with 2 "$CUPEL" score "$BATS_TEST_TMPDIR/weights.safetensors" x --weights best
    says "weights file"
    fails_with 2 "$CUPEL" inspect "$TINY" --plan guess
    says "estimate"
    says "measure"
}

@test "help of a command speaks of that command, and the version is found" {
    run "$CUPEL" help score
    says "the CSV file"
    case $output in *runs/NAME* | *train:*) false ;; esac
    run "$CUPEL" help train
    says "runs/NAME-N"
    case $output in *CSV*) false ;; esac
    says "estimate or measure"
    for word in version -V; do
        fails_with 2 "$CUPEL" "$word"
        says "cupel --version"
    done
}

@test "threads 0 is one for each processor everywhere" {
    "$CUPEL" bench step mlp-vae --batch 20 --threads 0 --steps 2 --json >/dev/null
    "$CUPEL" inspect "$TINY" --threads 0 >/dev/null
    for command in score eval; do
        fails_with 4 "$CUPEL" "$command" "$BATS_TEST_TMPDIR/none" $([ $command = eval ] || echo x) \
            --threads 0
    done
}

@test "bench takes colours, and more steps than the recipe's epochs" {
    "$CUPEL" bench step mlp-vae --batch 5 --threads 1 --steps 20 --set train.epochs=1 \
        --set model.channels=3 --json >"$BATS_TEST_TMPDIR/json"
    grep -q median_ms "$BATS_TEST_TMPDIR/json"
}

@test "inspect shows order, kernels, layouts and memory without any data" {
    run --separate-stderr env -u CUPEL_DATA "$CUPEL" inspect "$TINY"
    [ "$status" -eq 0 ]
    says "program train"
    grep -Eq '^program hash [0-9a-f]{16} of order, kernels and layouts$' <<<"$output"
    says "encoder."
    says "arena map"
    says "in  images"
}

@test "inspect lists the changes of layout that are left, and their cost" {
    local vae=("$CUPEL_SOURCE_DIR/recipes/vae-anomaly/paper.yaml" --batch 10)
    run --separate-stderr "$CUPEL" inspect "${vae[@]}"
    [ "$status" -eq 0 ]
    says "changes of layout: none"
    CUPEL_DISABLE=vec:few run --separate-stderr "$CUPEL" inspect "${vae[@]}"
    [ "$status" -eq 0 ]
    grep -Eq '^decoder.relu#3: nChw(16|8)c to plain, 2.304 MB, [0-9.]+ ms estimated$' <<<"$output"
}

@test "the dense VAE's loss and its gradient are one node" {
    run --separate-stderr "$CUPEL" inspect "$CUPEL_SOURCE_DIR/recipes/vae-anomaly/paper.yaml" \
        --set model.name=mlp-vae --set model.image=28 --set data.pad=0 \
        --set loss.reconstruction=bernoulli
    [ "$status" -eq 0 ]
    [ "$(grep -c ' vec:bernoulli ' <<<"$output")" -eq 1 ]
}

@test "bench step prints the documented keys" {
    run --separate-stderr "$CUPEL" bench step mlp-vae --batch 20 --threads 1 --steps 5 \
        --precision fp32 --json
    [ "$status" -eq 0 ]
    for key in median_ms min_ms images_per_s flop_per_step peak_rss_mib planned_bytes naive_bytes \
        plan_hash
    do
        says "\"$key\": "
    done
    fails_with 2 "$CUPEL" bench step resnet
    fails_with 2 "$CUPEL" bench jump conv-vae
    fails_with 2 "$CUPEL" bench step mlp-vae --steps 0
}

@test "bench follows the plan of training" {
    local sample="$BATS_TEST_DIRNAME/../recipes/vae-anomaly" run="$BATS_TEST_TMPDIR/planned"
    "$CUPEL" train "$sample/mlp.yaml" --data "$sample" --out "$run" --quiet --threads 1 \
        --epochs 1 --set data.limit=100
    run --separate-stderr "$CUPEL" bench step mlp-vae --batch 50 --threads 1 --steps 1 \
        --precision fp32 --json
    local hash="${output##*plan_hash\": \"}"
    [ "${#hash}" -eq 18 ]
    grep -aq "\"cupel.plan\":\"${hash%%\"*}\"" "$run/state.safetensors"
}

@test "bench score prints the documented keys" {
    run --separate-stderr "$CUPEL" bench score mlp-vae --threads 1 --steps 1 --json
    [ "$status" -eq 0 ]
    for key in median_ms min_ms images_per_s peak_rss_mib; do says "\"$key\": "; done
    says '"threads": 1,'
    fails_with 4 "$CUPEL" bench score mlp-vae "$BATS_TEST_TMPDIR/none-images-idx3-ubyte"
    fails_with 2 "$CUPEL" bench step mlp-vae "$BATS_TEST_TMPDIR/none-images-idx3-ubyte"
    for option in --profile "--plan measure" "--batch 10"; do
        fails_with 2 "$CUPEL" bench score mlp-vae $option
        says "${option%% *} is for cupel bench step"
    done
}

@test "bench step --profile prints a row a node, and the share near the floor" {
    run --separate-stderr "$CUPEL" bench step mlp-vae --batch 20 --threads 1 --steps 3 --profile
    [ "$status" -eq 0 ]
    says "GFLOP/s of multiply-adds"
    says "(matmul, "
    says "in nodes that reach 70% of their floor"
    case $output in *"where bytes count at"*) false ;; esac # its memory is small
    run --separate-stderr "$CUPEL" bench step conv-vae --batch 64 --steps 1 --profile
    [ "$status" -eq 0 ]
    says "of as much memory as the step has"
}

@test "a trace that cannot be written is refused before any step" {
    # A million steps: an hour that nobody waits for.
    local bench=(timeout 60 "$CUPEL" bench step conv-vae --steps 1000000 --trace)
    fails_with 4 "${bench[@]}" "$BATS_TEST_TMPDIR/none/trace.json"
    says "cannot write $BATS_TEST_TMPDIR/none/trace.json: No such file or directory; check the path"
    fails_with 4 "${bench[@]}" ""
    says 'cannot write --trace "": the path is empty; give the name of a file'
    fails_with 4 "${bench[@]}" "$BATS_TEST_TMPDIR"
    says "cannot write $BATS_TEST_TMPDIR: Is a directory; give the name of a file"
    "$CUPEL" bench step mlp-vae --batch 20 --threads 1 --steps 1 --quiet --trace /dev/null
}

@test "a run of the benchmarks without rounds or rows is refused" {
    if ! command -v python3 >/dev/null; then
        echo "# no python3: bench/run is not tried" >&3
        return
    fi
    local wrong
    for wrong in "--rounds 0" "--rounds=-3" "--rounds few" "--only zzz"; do
        # shellcheck disable=SC2086
        fails_with 2 python3 "$CUPEL_SOURCE_DIR/bench/run" $wrong
        case $output in *Traceback*) false ;; esac
    done
    says "no row's title has 'zzz': mlp-vae step, batch 32, 1 thread; "
    fails_with 2 python3 "$CUPEL_SOURCE_DIR/bench/run" --rounds 0
    says "'0' is no number of rounds: give 1 or more"
}

# Whether the process has its policy of waiting, which it has when it has started again.
started_again() {
    tr '\0' '\n' <"/proc/$1/environ" | grep -qx OMP_WAIT_POLICY=passive
}

@test "the program is called cupel, though it starts itself again" {
    [ -r /proc/self/comm ] || { echo "# no /proc" >&3; return; }
    local fifo=$BATS_TEST_TMPDIR/fifo.yaml pid
    mkfifo "$fifo"
    env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT "$CUPEL" inspect "$fifo" >/dev/null 2>&1 3>&- &
    pid=$!
    wait_until started_again $pid
    [ "$(cat /proc/$pid/comm)" = cupel ] || { cat /proc/$pid/comm; kill $pid; false; }
    cat "$TINY" >"$fifo"
    wait $pid
}

@test "one processor is one thread, however many the machine has" {
    run taskset -c 0 "$CUPEL" inspect "$TINY"
    [ "$status" -eq 0 ]
    says " 1 threads"
    taskset -c 0 "$CUPEL" bench step mlp-vae --batch 20 --threads 2 --steps 2 --quiet
}

@test "bench fails where reference kernels do the work" {
    export CUPEL_DISABLE=onednn,vec
    run "$CUPEL" bench step mlp-vae --batch 20 --threads 1 --steps 2 --json --quiet
    [ "$status" -eq 1 ]
    says "reference kernels"
}

@test "whichever kernels are removed, convolutions compile and run" {
    for disabled in vec vec:reorder onednn,vec; do
        run env CUPEL_DISABLE=$disabled "$CUPEL" inspect "$RECIPES/demo.yaml"
        [ "$status" -eq 0 ]
        [[ "$output" != *warning*CUPEL_DISABLE* ]]
    done
    CUPEL_DISABLE=vec:reorder "$CUPEL" bench step conv-vae --batch 2 --threads 1 --steps 1 --quiet
}

@test "names of kernels and instruction sets that match nothing are told" {
    run env CUPEL_DISABLE=bogus CUPEL_ISA=foo "$CUPEL" inspect "$TINY"
    [ "$status" -eq 0 ]
    says 'warning: CUPEL_DISABLE: no kernel that can be removed has a name that begins with "bogus"'
    says 'warning: CUPEL_ISA=foo'
}

@test "an unknown device: exit code 5" {
    CUPEL_DEVICE=abacus fails_with 5 "$CUPEL" inspect "$TINY"
    says "reference"
}

@test "a full stdout: exit code 4" {
    run bash -c "'$CUPEL' help >/dev/full"
    [ "$status" -eq 4 ]
    [ "$output" = "cupel: cannot write to stdout: No space left on device; free space, or send it elsewhere" ]
    run bash -c "'$CUPEL' inspect '$TINY' >/dev/full"
    [ "$status" -eq 4 ]
}
