# cupel eval as a user runs it.

load support/cli.bash

setup_file() {
    export RUN=$BATS_FILE_TMPDIR/run
    tiny "$RUN" || return 1
}

@test "the table has the run and the baselines, and names the positive class" {
    run --separate-stderr "$CUPEL" eval "$RUN"
    [ "$status" -eq 0 ]
    says "positive class: anomaly, 500 of 1000 test images"
    for row in "negated ELBO" "5-NN" "PCA-16" "PCA-32" "mean intensity"; do
        says "$row"
    done
    says "at the threshold"
}

@test "--json is JSON with the same numbers each time" {
    "$CUPEL" eval "$RUN" --json >"$BATS_TEST_TMPDIR/a"
    LC_ALL=de_DE.UTF-8 "$CUPEL" eval "$RUN" --json --data "$RECIPES" >"$BATS_TEST_TMPDIR/b"
    cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
    grep -q '"positive": "anomaly", "images": 1000, "anomalies": 500' "$BATS_TEST_TMPDIR/a"
    grep -q '"name": "negated ELBO", "left_out": 0, "auroc": 0\.[0-9]*, "auroc_low": 0\.' "$BATS_TEST_TMPDIR/a"
    if command -v python3 >/dev/null; then
        python3 -m json.tool <"$BATS_TEST_TMPDIR/a" >/dev/null
    fi
}

@test "one class only: the metrics are null with a reason" {
    tiny "$BATS_TEST_TMPDIR/run" --set data.normal_classes=[] --set data.anomaly_classes=[]
    run --separate-stderr "$CUPEL" eval "$BATS_TEST_TMPDIR/run" --json
    [ "$status" -eq 0 ]
    says '"auroc": null, "auroc_reason": "'
}

@test "every number of components has its row" {
    tiny "$BATS_TEST_TMPDIR/run" --epochs 1 --set eval.components=[1,2,3,4,5,6,7,8,9,10,11,12,13,14]
    run --separate-stderr "$CUPEL" eval "$BATS_TEST_TMPDIR/run" --threads 0
    [ "$status" -eq 0 ]
    for components in 1 12 13 14; do
        says "PCA-$components "
    done
    says "mean intensity"
}

@test "scores that are not finite are left out, with a sentence" {
    overflowing "$RUN/best.safetensors" "$BATS_TEST_TMPDIR/wild.safetensors"
    run --separate-stderr "$CUPEL" eval "$BATS_TEST_TMPDIR/wild.safetensors" --data "$RECIPES" \
        --json
    [ "$status" -eq 0 ]
    says '"name": "negated ELBO", "left_out": 1000, "auroc": null, "auroc_reason": "'
    case $stderr in *"1000 of 1000 images have no finite score"*) ;; *) false ;; esac
}

@test "bad input: exit codes" {
    fails_with 2 "$CUPEL" eval
    fails_with 4 "$CUPEL" eval "$BATS_TEST_TMPDIR/none"
    fails_with 4 "$CUPEL" eval "$RUN" --data "$BATS_TEST_TMPDIR"
    fails_with 2 "$CUPEL" eval "$RUN" --sheet x.png
}
