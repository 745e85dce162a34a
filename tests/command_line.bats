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

@test "inspect shows order, kernels, layouts and memory without any data" {
    run --separate-stderr env -u CUPEL_DATA "$CUPEL" inspect "$TINY"
    [ "$status" -eq 0 ]
    says "program train"
    says "encoder."
    says "arena map"
    says "in  images"
}

@test "bench step prints the documented keys" {
    run --separate-stderr "$CUPEL" bench step mlp-vae --batch 20 --threads 1 --steps 5 \
        --precision fp32 --json
    [ "$status" -eq 0 ]
    for key in median_ms min_ms images_per_s flop_per_step peak_rss_mib planned_bytes naive_bytes
    do
        says "\"$key\": "
    done
    fails_with 2 "$CUPEL" bench step resnet
    fails_with 2 "$CUPEL" bench jump conv-vae
    fails_with 2 "$CUPEL" bench step mlp-vae --steps 0
}

@test "bench fails where reference kernels do the work" {
    export CUPEL_DISABLE=onednn,vec
    run "$CUPEL" bench step mlp-vae --batch 20 --threads 1 --steps 2 --json --quiet
    [ "$status" -eq 1 ]
    says "reference kernels"
}

@test "an unknown device: exit code 5" {
    CUPEL_DEVICE=abacus fails_with 5 "$CUPEL" inspect "$TINY"
    says "reference"
}

@test "a full stdout: exit code 4" {
    run bash -c "'$CUPEL' help >/dev/full"
    [ "$status" -eq 4 ]
    run bash -c "'$CUPEL' inspect '$TINY' >/dev/full"
    [ "$status" -eq 4 ]
}
