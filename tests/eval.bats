# cupel eval as a user runs it.

load support/cli.bash

setup_file() {
    export RUN=$BATS_FILE_TMPDIR/run
    tiny "$RUN" || return 1
}

@test "the table has the run and the baselines, and names the positive class" {
    run --separate-stderr "$CUPEL" eval "$RUN"
    [ "$status" -eq 0 ]
    says "split test: 500 normal images, 500 anomalies"
    says "positive class: anomaly, 500 of 1000 images; intervals are 95 %"
    for row in "negated ELBO" "5-NN" "PCA-16" "PCA-32" "mean intensity"; do
        [ "$(grep -c "^$row " <<<"$output")" -eq 2 ]
    done
    for column in AUROC "average precision" "at 4.9 % anomalies" "FPR at 95 % TPR" \
        "at the threshold" "at .3 of min to max" "at the best F1 (oracle)"; do
        says "$column"
    done
    says "the network's threshold is"
    says "anomalies found / normal images kept / F1"
    # found and kept give the F1 that stands behind them
    grep "^negated ELBO " <<<"$output" | tail -n 1 | perl -ne '
        my @cells = m{(\d+) / (\d+) / ([0-9.]+)}g; @cells == 9 or die;
        while (my ($found, $kept, $f1) = splice @cells, 0, 3) {
            abs(2 * $found / (500 + $found + 500 - $kept) - $f1) < 6e-4 or die "$found $kept $f1" }'
}

@test "--json is JSON with the same numbers each time" {
    "$CUPEL" eval "$RUN" --json >"$BATS_TEST_TMPDIR/a"
    in_german "$CUPEL" eval "$RUN" --json --data "$RECIPES" >"$BATS_TEST_TMPDIR/b"
    cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
    run cat "$BATS_TEST_TMPDIR/a"
    says '"split": "test", "positive": "anomaly", "images": 1000, "anomalies": 500'
    says '"name": "negated ELBO", "left_out": 0, "auroc": 0.'
    says '"at_min_max_0.3": {"rule": "0.3 of the range of the scores judged here (transductive)"'
    says '"at_best_f1": {"rule": "largest F1 (oracle)"'
    perl -MJSON::PP -0777 -ne 'decode_json($_)' "$BATS_TEST_TMPDIR/a"
}

# What score writes is what eval counts: the stored threshold, and .3 of min to max, by awk.
@test "the counts at both thresholds are those of cupel score" {
    "$CUPEL" eval "$RUN" --json >"$BATS_TEST_TMPDIR/json"
    "$CUPEL" score "$RUN" "$SAMPLE" | awk -F, 'NR > 1 { label[NR] = $2; score[NR] = $3; pred[NR] = $5
        if (NR == 2 || $3 < low) low = $3; if (NR == 2 || $3 > high) high = $3 }
        function anomaly(c) { return c == 0 || c == 2 || c == 3 || c == 4 || c == 6 }
        END { for (i in label) { if (anomaly(label[i])) { found += pred[i]
                    wide += score[i] > low + .3 * (high - low) } else { kept += !pred[i]
                    narrow += score[i] <= low + .3 * (high - low) } }
            print found, kept, wide, narrow }' >"$BATS_TEST_TMPDIR/want"
    perl -ne '/"negated ELBO".*?"at_threshold": .*?"true_positives": (\d+).*?"true_negatives": (\d+)/
        && print "$1 $2 "; /"negated ELBO".*?"at_min_max_0.3": .*?"true_positives": (\d+).*?"true_negatives": (\d+)/
        && print "$1 $2\n"' "$BATS_TEST_TMPDIR/json" | cmp - "$BATS_TEST_TMPDIR/want"
}

@test "--samples adds a row, the mean over that many" {
    run --separate-stderr "$CUPEL" eval "$RUN" --samples 3
    [ "$status" -eq 0 ]
    says "negated ELBO"
    says "mean of 3"
    run --separate-stderr "$CUPEL" eval "$RUN" --samples 1
    case $output in *"mean of"*) false ;; esac
}

representative() { # FOLDER: a run whose protocol has representative sets
    tiny "$1" --epochs 1 --set data.representative=50 --set anomaly.mixed_corrupted=4 \
        --set corruption.noise=0.3
}

@test "every split has its report, and one without anomalies says why" {
    representative "$BATS_TEST_TMPDIR/run"
    for split in representative-1 representative-2; do
        run --separate-stderr "$CUPEL" eval "$BATS_TEST_TMPDIR/run" --split "$split"
        [ "$status" -eq 0 ]
        says "split $split: 50 normal images, 4 anomalies"
    done
    run --separate-stderr "$CUPEL" eval "$BATS_TEST_TMPDIR/run" --split labelled --json
    [ "$status" -eq 0 ]
    says '"auroc": null, "auroc_reason": "there are no positive (anomalous) images"'
    fails_with 2 "$CUPEL" eval "$BATS_TEST_TMPDIR/run" --split train
    says "representative-1"
}

@test "corruption by corruption: the columns of the table, and together they are the kind" {
    tiny "$BATS_TEST_TMPDIR/run" --epochs 1 --set corruption.noise=0.3 --set corruption.occlude=9 \
        --set corruption.blur=2
    run --separate-stderr "$CUPEL" eval "$BATS_TEST_TMPDIR/run"
    [ "$status" -eq 0 ]
    says "AUROC by corruption"
    grep -q '^ *noise  *blur  *occlude *$' <<<"$output"
    "$CUPEL" eval "$BATS_TEST_TMPDIR/run" --json >"$BATS_TEST_TMPDIR/json"
    # An AUROC is a mean over anomalies: the kind's is that of its corruptions', by their numbers.
    perl -MJSON::PP -0777 -ne 'my $all = decode_json($_);
        my ($kind) = grep { $_->{kind} eq "corrupted" } @{$all->{kinds}} or die;
        my @parts = @{$all->{corruptions}}; @parts == 3 or die;
        for my $row (0 .. $#{$kind->{scorers}}) {
            my ($sum, $n) = (0, 0);
            for (@parts) { $n += $_->{anomalies};
                $sum += $_->{anomalies} * $_->{scorers}[$row]{auroc} }
            $n == $kind->{anomalies} or die "anomalies";
            abs($sum / $n - $kind->{scorers}[$row]{auroc}) < 1e-12 or die "row $row" }
        my %auroc = map { $_->{corruption} => $_->{scorers}[0]{auroc} } @parts;
        $auroc{noise} != $auroc{blur} or die' "$BATS_TEST_TMPDIR/json"
    # one corruption is the kind itself
    representative "$BATS_TEST_TMPDIR/one"
    run --separate-stderr "$CUPEL" eval "$BATS_TEST_TMPDIR/one"
    case $output in *"by corruption"*) false ;; esac
}

@test "--draws: mean and spread of each score, the same each time" {
    representative "$BATS_TEST_TMPDIR/run"
    run --separate-stderr "$CUPEL" eval "$BATS_TEST_TMPDIR/run" --draws 20
    [ "$status" -eq 0 ]
    says "20 draws of 50 normal images and 4 anomalies"
    says "anomalies found"
    [ "$(grep -c "^negated ELBO " <<<"$output")" -eq 1 ]
    "$CUPEL" eval "$BATS_TEST_TMPDIR/run" --draws 20 --json >"$BATS_TEST_TMPDIR/a"
    "$CUPEL" eval "$BATS_TEST_TMPDIR/run" --draws 20 --json --data "$RECIPES" | cmp - "$BATS_TEST_TMPDIR/a"
    # of one draw, the mean is both ends of the spread
    "$CUPEL" eval "$BATS_TEST_TMPDIR/run" --draws 1 --json |
        perl -ne '/"auroc": ([^,]*), "auroc_low": ([^,]*), "auroc_high": ([^,]*)/ && $1 eq $2 &&
            $2 eq $3 || exit 1'
    fails_with 2 "$CUPEL" eval "$BATS_TEST_TMPDIR/run" --draws 2 --split labelled
    fails_with 2 "$CUPEL" eval "$BATS_TEST_TMPDIR/run" --draws 0
    fails_with 3 "$CUPEL" eval "$RUN" --draws 2
    says "data.representative"
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

# The sample with its training images in another order, or other ones.
shuffled() { # FOLDER
    mkdir -p "$1/sample"
    cp "$SAMPLE"/t10k* "$1/sample"
    local kind size head
    for kind in images-idx3:784:16 labels-idx1:1:8; do
        IFS=: read -r kind size head <<<"$kind"
        zcat "$SAMPLE/train-$kind-ubyte.gz" | perl -e 'my ($size, $head) = @ARGV; local $/;
            my $all = <STDIN>; print substr($all, 0, $head), substr($all, $head + 7 * $size),
            substr($all, $head, 7 * $size)' "$size" "$head" >"$1/sample/train-$kind-ubyte"
    done
}

@test "held-out images that may have been trained on are refused; other test data are told" {
    local data=$BATS_TEST_TMPDIR/data weights
    shuffled "$data"
    for weights in "$RUN" "$RUN/best.safetensors"; do
        "$CUPEL" eval "$weights" --data "$RECIPES" --split labelled >"$BATS_TEST_TMPDIR/table"
        fails_with 5 "$CUPEL" eval "$weights" --data "$data" --split labelled
        says "best.safetensors: the images in $data/sample are divided otherwise, or are others"
        says "labelled images may have been trained on"
        says "--data"
        run --separate-stderr "$CUPEL" eval "$weights" --data "$data"
        [ "$status" -eq 0 ]
        says "split test"
        case $stderr in *"warning: "*"are divided otherwise, or are others"*) ;; *) false ;; esac
        run --separate-stderr "$CUPEL" eval "$weights" --data "$RECIPES"
        [ "$status" -eq 0 ] && [ -z "$stderr" ]
    done
}

@test "a split.json that was edited or lost, and weights that say nothing of their images" {
    cp -r "$RUN" "$BATS_TEST_TMPDIR/run"
    cd "$BATS_TEST_TMPDIR"
    sed -i 's/"labelled": {/"labelled" : {/' run/split.json
    fails_with 5 "$CUPEL" eval run --data "$RECIPES" --split labelled
    says "run/split.json: the images in"
    rm run/split.json
    "$CUPEL" eval run --data "$RECIPES" --split labelled >table # the weights know
    perl -pi -e 's/cupel\.split/cupel.nihil/' run/best.safetensors
    for weights in run run/best.safetensors; do
        fails_with 5 "$CUPEL" eval "$weights" --data "$RECIPES" --split labelled
        says "run/best.safetensors does not say which images it was trained on"
    done
    run --separate-stderr "$CUPEL" eval run --data "$RECIPES"
    [ "$status" -eq 0 ]
    case $stderr in *"warning: run/best.safetensors does not say"*) ;; *) false ;; esac
    cp "$RUN/split.json" run # of a run that was begun by an older version
    "$CUPEL" eval run --data "$RECIPES" --split labelled >table
}

@test "bad input: exit codes" {
    fails_with 2 "$CUPEL" eval
    fails_with 4 "$CUPEL" eval "$BATS_TEST_TMPDIR/none"
    fails_with 4 "$CUPEL" eval "$RUN" --data "$BATS_TEST_TMPDIR"
    fails_with 2 "$CUPEL" eval "$RUN" --sheet x.png
}
