# cupel data get and check with the real files, where they are present: $CUPEL_TEST_DATA, else
# ../shared/data.

load support/cli.bash

setup() {
    REAL=${CUPEL_TEST_DATA:-$CUPEL_SOURCE_DIR/../shared/data}
    for set in fashion-mnist mnist; do
        [ -e "$REAL/$set" ] || skip "no real data at $REAL/$set"
    done
    cd "$BATS_TEST_TMPDIR"
}

@test "both sets are taken from a folder, and are found whole" {
    for set in fashion-mnist mnist; do
        run --separate-stderr "$CUPEL" data get "$set" --from "$REAL" --to here
        [ "$status" -eq 0 ]
        [ "$output" = "here/$set" ]
        case $stderr in *"$set: 4 files fetched, every file as published"*) ;; *) false ;; esac
    done
    run --separate-stderr "$CUPEL" data get mnist --from /nowhere --to here
    [ "$status" -eq 0 ]
    case $stderr in *"mnist is there already"*) ;; *) false ;; esac
    run "$CUPEL" data check here
    [ "$status" -eq 0 ]
    says "here/fashion-mnist: train: 60000 images of 28 x 28, 6000 of T-shirt/top, 6000 of Trouser"
    says "here/fashion-mnist: every file is as published"
    says "here/mnist: test: 10000 images of 28 x 28, 980 of 0, 1135 of 1"
    says "here/mnist: every file is as published"
}

@test "a fetch is gone on with, and the data are found by name in the cache" {
    mkdir -p cache/cupel/mnist
    head -c 1000000 "$REAL/mnist/train-images-idx3-ubyte.gz" \
        >cache/cupel/mnist/.train-images-idx3-ubyte.gz.part
    XDG_CACHE_HOME=$PWD/cache "$CUPEL" data get mnist --from "file://$REAL/mnist"
    [ "$(ls -A cache/cupel/mnist | wc -l)" -eq 4 ]
    cmp "$REAL/mnist/train-images-idx3-ubyte.gz" cache/cupel/mnist/train-images-idx3-ubyte.gz
    CUPEL_DATA=$REAL "$CUPEL" data get fashion-mnist # nothing is written: it is there
    CUPEL_DATA=$REAL "$CUPEL" train "$RECIPES/paper.yaml" --dry-run
}
