/*
 * Judging: what one score is worth on images whose kinds are known. The positive class is the
 * anomaly, and a metric that the images leave undefined says why. Test: tests/eval.bats
 */
#ifndef CUPEL_CLI_JUDGE_H
#define CUPEL_CLI_JUDGE_H

#include <cupel/metrics.h>
#include <cupel/protocol.h>

/* One score of all images of a split, and the threshold found on held-out normal images. */
struct scored {
    char name[48];
    double *scores;   /* [count] */
    double threshold; /* NaN: none */
    char rule[160];   /* how it was found; "" without one */
};

struct images_judged {
    const uint8_t *kinds; /* [count] of cupel_protocol_kind */
    int64_t count;
    const int64_t *indices; /* only these, [count], of a longer list; NULL: all */
    int kind;               /* the anomalies that count; CUPEL_KIND_NORMAL: of every kind */
    double prevalence;      /* that average precision is re-weighted to */
};

/* What is called anomalous above a threshold. */
struct called {
    double threshold; /* NaN: the counts are not defined, for the reason */
    char reason[96];
    cupel_confusion counts;
};

struct judgement {
    int64_t anomalies, normal, left_out; /* left out: images whose score is not finite */
    cupel_metric auroc, average_precision, at_prevalence, fpr;
    struct called held_out; /* above the scored's own threshold */
    struct called min_max;  /* above .3 of the range of these very scores: transductive */
    struct called best_f1;  /* above the threshold of the largest F1: an oracle */
};

/* Returns an exit code. */
int judge(struct judgement *out, const struct scored *scored, const struct images_judged *images);

#endif
