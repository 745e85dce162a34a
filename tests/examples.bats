# The programs in examples/: under 80 lines each, built with the public headers, and right.

load support/cli.bash

setup() {
    : "${CUPEL_EXAMPLES:?set CUPEL_EXAMPLES to the folder of the built examples}"
}

@test "each is under 80 lines and includes public headers only" {
    for file in "$CUPEL_SOURCE_DIR"/examples/*.c; do
        [ "$(wc -l <"$file")" -lt 80 ]
        ! grep -n '#include "' "$file"
    done
}

@test "train_classifier tells two spirals apart" {
    run "$CUPEL_EXAMPLES/train_classifier"
    [ "$status" -eq 0 ]
    says "of 200 right"
}

@test "own_op has the gradient of its formula" {
    run "$CUPEL_EXAMPLES/own_op"
    [ "$status" -eq 0 ]
    says "x = 1: y = 0.70711, slope 0.35355"
}

@test "score_image gives the score that cupel score gives" {
    local run=$BATS_TEST_TMPDIR/run png=$CUPEL_SOURCE_DIR/tests/support/sneaker.png
    tiny "$run"
    local row
    row=$("$CUPEL" score "$run" "$png" | tail -n 1)
    run "$CUPEL_EXAMPLES/score_image" "$run/best.safetensors" "$png"
    [ "$status" -eq 0 ]
    says "score $(printf %s "$row" | cut -d, -f3) "
    run "$CUPEL_EXAMPLES/score_image" "$run/none.safetensors" "$png"
    [ "$status" -eq 1 ]
    run "$CUPEL_EXAMPLES/score_image"
    [ "$status" -eq 2 ]
}
