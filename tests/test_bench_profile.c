/*
 * cupel bench step --profile --json and --trace as programs read them: whole JSON by the library's
 * own reader, each node of the step in them, and figures that follow from each other. How long
 * nodes take is no test's business; what is said about it is: medians, speeds, floors and the
 * shares near them are computed here again, from the trace's exact operations and bytes and the
 * printed peaks.
 */
#define _DEFAULT_SOURCE
#include "support/check.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"

enum { STEPS = 3, MOST = 1000 };

static char folder[40];

static void make_folder(void) {
    snprintf(folder, sizeof folder, "/tmp/cupel-profile-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
}

static void remove_folder(void) {
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_I64(system(command), 0);
}

static void bench(const char *network, const char *options) {
    char command[512];
    const char *const program = getenv("CUPEL");
    CHECK(program != NULL);
    snprintf(command, sizeof command, "'%s' bench step %s --steps %d --quiet %s", program, network,
             (int)STEPS, options);
    CHECK_I64(system(command), 0);
}

static uint8_t *read_text(const char *name, size_t *size) {
    char path[128];
    uint8_t *text;
    struct cupel_error error = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK_OK_TEXT(file_read(path, 0, &text, size, &error), error.text);
    return text;
}

/* A node of the profile, or one of its runs in the trace. */
struct node {
    char *name, *op, *kernel;
    double ms, share, gflops, gbytes_per_s, floor_ms;
    double begin, duration, flop, bytes; /* microseconds */
};

static void release(struct node *node) {
    cupel_free(node->name);
    cupel_free(node->op);
    cupel_free(node->kernel);
}

static bool more_of(struct json_reader *json, char close) {
    bool more;
    CHECK_OK(json_more(json, close, &more));
    return more;
}

/* An object with the members that matter; others are skipped. */
static void read_members(struct json_reader *json, struct node *node) {
    struct json_text key = {0}, text = {0};
    CHECK_OK(json_expect(json, '{'));
    while (more_of(json, '}')) {
        CHECK_OK(json_key(json, &key));
        const struct {
            const char *key;
            double *number;
            char **text;
        } members[] = {
            {"ms", &node->ms, NULL},
            {"share", &node->share, NULL},
            {"gflops", &node->gflops, NULL},
            {"gbytes_per_s", &node->gbytes_per_s, NULL},
            {"floor_ms", &node->floor_ms, NULL},
            {"ts", &node->begin, NULL},
            {"dur", &node->duration, NULL},
            {"flop", &node->flop, NULL},
            {"bytes", &node->bytes, NULL},
            {"node", NULL, &node->name},
            {"op", NULL, &node->op},
            {"kernel", NULL, &node->kernel},
        };
        const size_t n = sizeof members / sizeof members[0];
        size_t i = 0;
        while (i < n && strcmp(key.bytes, members[i].key) != 0)
            i++;
        if (i < n && members[i].number != NULL) {
            CHECK_OK(json_f64(json, members[i].number));
        } else if (i < n) {
            CHECK_OK(json_string(json, &text));
            cupel_free(*members[i].text);
            CHECK((*members[i].text = cupel_strdup(text.bytes)) != NULL);
        } else if (strcmp(key.bytes, "args") == 0 && json_peek(json) == '{') {
            read_members(json, node);
        } else {
            CHECK_OK(json_skip(json));
        }
    }
    json_text_release(&key);
    json_text_release(&text);
}

/* The objects of an array that have a node. */
struct nodes {
    size_t n;
    struct node all[MOST];
};

static void read_nodes(struct json_reader *json, struct nodes *nodes) {
    CHECK_OK(json_expect(json, '['));
    while (more_of(json, ']')) {
        struct node node = {0};
        read_members(json, &node);
        CHECK(nodes->n < MOST);
        if (node.name != NULL && node.op != NULL && node.kernel != NULL)
            nodes->all[nodes->n++] = node;
        else
            release(&node);
    }
}

static void release_nodes(struct nodes *nodes) {
    for (size_t i = 0; i < nodes->n; i++)
        release(&nodes->all[i]);
    nodes->n = 0;
}

static void read_trace(struct nodes *runs) {
    struct cupel_error error = {0};
    struct json_reader json;
    struct json_text key = {0};
    size_t size;
    uint8_t *const text = read_text("trace.json", &size);
    runs->n = 0;
    json_begin(&json, (const char *)text, size, "trace", &error);
    CHECK_OK(json_expect(&json, '{'));
    while (more_of(&json, '}')) {
        CHECK_OK(json_key(&json, &key));
        if (strcmp(key.bytes, "traceEvents") == 0)
            read_nodes(&json, runs);
        else
            CHECK_OK(json_skip(&json));
    }
    CHECK_OK(json_finish(&json));
    json_text_release(&key);
    cupel_free(text);
}

/* What stands beside the nodes; -1: is not there. */
struct profile {
    double sum, good, far_good, peak, bandwidth, far_bandwidth;
};

static void read_profile(struct nodes *nodes, struct profile *out) {
    struct cupel_error error = {0};
    struct json_reader json;
    struct json_text key = {0};
    size_t size;
    uint8_t *const text = read_text("profile.json", &size);
    nodes->n = 0;
    *out = (struct profile){-1, -1, -1, -1, -1, -1};
    const struct {
        const char *key;
        double *number;
    } members[] = {
        {"nodes_ms", &out->sum},
        {"share_at_70_percent_of_floor", &out->good},
        {"share_at_70_percent_of_far_floor", &out->far_good},
        {"peak_gflops", &out->peak},
        {"peak_gbytes_per_s", &out->bandwidth},
        {"far_gbytes_per_s", &out->far_bandwidth},
    };
    const size_t n = sizeof members / sizeof members[0];
    json_begin(&json, (const char *)text, size, "profile", &error);
    CHECK_OK(json_expect(&json, '{'));
    while (more_of(&json, '}')) {
        CHECK_OK(json_key(&json, &key));
        if (strcmp(key.bytes, "profile") != 0) {
            CHECK_OK(json_skip(&json));
            continue;
        }
        CHECK_OK(json_expect(&json, '{'));
        while (more_of(&json, '}')) {
            CHECK_OK(json_key(&json, &key));
            size_t i = 0;
            while (i < n && strcmp(key.bytes, members[i].key) != 0)
                i++;
            if (i < n)
                CHECK_OK(json_f64(&json, members[i].number));
            else if (strcmp(key.bytes, "nodes") == 0)
                read_nodes(&json, nodes);
            else
                CHECK_OK(json_skip(&json));
        }
    }
    CHECK_OK(json_finish(&json));
    json_text_release(&key);
    cupel_free(text);
}

/* --- the same figures, from the trace --- */

static bool same_step(const struct node *a, const struct node *b) {
    return strcmp(a->name, b->name) == 0 && strcmp(a->op, b->op) == 0 &&
           strcmp(a->kernel, b->kernel) == 0;
}

/* Of its runs the one of median time; NULL: it has none, as what is packed once and for all. A name
 * is one node's, and its pack has another op. */
static const struct node *median_run(const struct node *node, const struct nodes *runs) {
    const struct node *of[STEPS];
    size_t n = 0;
    for (size_t i = 0; i < runs->n; i++)
        if (same_step(node, &runs->all[i])) {
            CHECK(n < STEPS);
            of[n++] = &runs->all[i];
        }
    CHECK(n == 0 || n == STEPS);
    for (size_t i = 0; i < n; i++) {
        size_t shorter = 0, equal = 0;
        for (size_t k = 0; k < STEPS; k++) {
            shorter += of[k]->duration < of[i]->duration;
            equal += of[k]->duration == of[i]->duration;
        }
        if (shorter <= STEPS / 2 && shorter + equal > STEPS / 2)
            return of[i];
    }
    return NULL;
}

/* What a printed figure can have been before it was rounded. */
struct range {
    double low, high;
};

static struct range around(double value, double half_a_digit) {
    const double low = value - half_a_digit;
    return (struct range){low > 0 ? low : 0, value + half_a_digit};
}

static bool holds(struct range range, double value, double half_a_digit) {
    return value + half_a_digit >= range.low && value - half_a_digit <= range.high;
}

static struct range over(double work, struct range by) {
    return (struct range){work / by.high, by.low > 0 ? work / by.low : INFINITY};
}

/* How many times fewer multiplications Winograd's kernels may do with, as the profile says. */
static double savings(const struct node *run) {
    if (strstr(run->kernel, "winograd") == NULL)
        return 1;
    return strcmp(run->op, "conv2d_backward_weights") == 0 ? 1.8 : 2.2;
}

/* In milliseconds, at GFLOP/s and GB/s that were printed with one decimal. */
static struct range floor_of(const struct node *run, double peak, double bandwidth) {
    const struct range arithmetic = over(run->flop / savings(run) * 1e-6, around(peak, 0.051));
    const struct range memory = over(run->bytes * 1e-6, around(bandwidth, 0.051));
    return (struct range){fmax(arithmetic.low, memory.low), fmax(arithmetic.high, memory.high)};
}

static void node_follows(const struct node *node, const struct node *run,
                         const struct profile *profile) {
    check_context("%s, %s, %s", node->name, node->op, node->kernel);
    if (run == NULL) {
        CHECK(node->ms == 0 && node->share == 0 && node->gflops == 0 && node->gbytes_per_s == 0);
        return;
    }
    const struct range ms = around(1e-3 * run->duration, 0.51e-6);
    CHECK(holds(ms, node->ms, 0.51e-5));
    CHECK(holds(over(run->flop * 1e-6, ms), node->gflops, 0.0051));
    CHECK(holds(over(run->bytes * 1e-6, ms), node->gbytes_per_s, 0.0051));
    CHECK(holds(floor_of(run, profile->peak, profile->bandwidth), node->floor_ms, 0.51e-5));
    const struct range sum = around(profile->sum, 0.51e-4);
    const struct range share = {ms.low / sum.high, ms.high / sum.low};
    CHECK(holds(share, node->share, 0.51e-5));
}

/* The share of the time in nodes whose floor is at least 0.7 of their time; a range where rounding
 * leaves open whether some are. */
static struct range share_near(const struct nodes *nodes, const struct nodes *runs, double peak,
                               double bandwidth) {
    double near = 0, perhaps = 0, total = 0;
    for (size_t i = 0; i < nodes->n; i++) {
        const struct node *const run = median_run(&nodes->all[i], runs);
        if (run == NULL)
            continue;
        const double ms = 1e-3 * run->duration;
        const struct range floor = floor_of(run, peak, bandwidth);
        total += ms;
        if (floor.low >= 0.7 * (ms + 1e-6))
            near += ms;
        else if (floor.high >= 0.7 * (ms - 1e-6))
            perhaps += ms;
    }
    return (struct range){near / total, (near + perhaps) / total};
}

/* Whether the two shares differ by more than rounding, so that one is no good for the other. */
static bool shares_follow(const struct nodes *nodes, const struct nodes *runs,
                          const struct profile *profile) {
    const struct range share = share_near(nodes, runs, profile->peak, profile->bandwidth);
    check_context("share %g, by the trace %g to %g", profile->good, share.low, share.high);
    CHECK(holds(share, profile->good, 0.6e-4));
    CHECK(share.high < 1); /* guards, to name one, are nowhere near */
    if (profile->far_bandwidth < 0)
        return false;
    const struct range far = share_near(nodes, runs, profile->peak, profile->far_bandwidth);
    check_context("far share %g, by the trace %g to %g", profile->far_good, far.low, far.high);
    CHECK(holds(far, profile->far_good, 0.6e-4));
    return far.high < share.low || far.low > share.high;
}

/* Profile and trace of the same steps. */
static void take_both(const char *network, struct nodes *nodes, struct nodes *runs,
                      struct profile *profile) {
    char options[160];
    make_folder();
    snprintf(options, sizeof options, "--profile --json --trace '%s/trace.json' >'%s/profile.json'",
             folder, folder);
    bench(network, options);
    read_profile(nodes, profile);
    read_trace(runs);
    remove_folder();
}

/* Nodes, their sums, and all that is said of them; what shares_follow() says. */
static bool all_follows(const struct nodes *nodes, const struct nodes *runs,
                        const struct profile *profile) {
    double ms = 0, share = 0, last = INFINITY;
    size_t ran = 0;
    CHECK(profile->peak > 0 && profile->bandwidth > 0);
    CHECK((profile->far_bandwidth > 0) == (profile->far_good >= 0));
    for (size_t i = 0; i < nodes->n; i++) {
        const struct node *const node = &nodes->all[i];
        const struct node *const run = median_run(node, runs);
        node_follows(node, run, profile);
        ran += run != NULL;
        CHECK(node->ms <= last); /* longest first */
        last = node->ms;
        ms += node->ms;
        share += node->share;
    }
    check_context("sums");
    CHECK_U64(runs->n, STEPS * ran);
    CHECK(fabs(ms - profile->sum) < 1e-5 * (double)(nodes->n + 10)); /* rounded in the text */
    CHECK(fabs(share - 1) < 1e-5 * (double)nodes->n);
    return shares_follow(nodes, runs, profile);
}

static struct nodes nodes, runs;

static void the_profile_is_whole(void **state) {
    (void)state;
    struct profile profile;
    int products = 0;
    take_both("mlp-vae --batch 20 --threads 1", &nodes, &runs, &profile);
    for (size_t i = 0; i < nodes.n; i++)
        products += strstr(nodes.all[i].name, "matmul") != NULL;
    CHECK(nodes.n > 20 && products >= 4);
    CHECK(profile.far_bandwidth < 0); /* its memory is small */
    (void)all_follows(&nodes, &runs, &profile);
    release_nodes(&nodes);
    release_nodes(&runs);
}

/* Winograd's convolutions of both kinds, and memory beyond the caches, which two threads wait for
 * where one alone does not. False: the two shares were one this time. */
static bool convolutions_follow(void) {
    struct profile profile;
    int forward = 0, weights = 0;
    take_both("conv-vae --batch 32 --threads 2 --plan estimate", &nodes, &runs, &profile);
    for (size_t i = 0; i < nodes.n; i++) {
        forward += savings(&nodes.all[i]) == 2.2 && strcmp(nodes.all[i].op, "pack") != 0;
        weights += savings(&nodes.all[i]) == 1.8;
    }
    if (strcmp(cpu_instruction_set(), "baseline") != 0)
        CHECK(forward >= 4 && weights >= 4);
    else
        print_message("no Winograd's kernels without AVX2: their floors were not looked at\n");
    CHECK(profile.far_bandwidth > 0);
    const bool differ = all_follows(&nodes, &runs, &profile);
    release_nodes(&nodes);
    release_nodes(&runs);
    return differ;
}

static void a_profile_of_convolutions_is_whole(void **state) {
    (void)state;
    for (int turn = 0; turn < 4 && !convolutions_follow(); turn++)
        continue;
}

static void the_trace_is_whole(void **state) {
    (void)state;
    char options[128];
    int guards = 0;
    double last = 0;
    make_folder();
    snprintf(options, sizeof options, "--trace '%s/trace.json' >/dev/null", folder);
    bench("mlp-vae --batch 20 --threads 1", options);
    read_trace(&runs);
    for (size_t i = 0; i < runs.n; i++) {
        const struct node *const run = &runs.all[i];
        guards += strstr(run->name, "guard") != NULL;
        CHECK(run->begin >= last - 0.002 && run->duration >= 0); /* one after the other */
        last = run->begin + run->duration;
    }
    CHECK(runs.n > 20 * STEPS);
    CHECK_I64(guards, STEPS);
    release_nodes(&runs);
    remove_folder();
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_profile_is_whole),
        cmocka_unit_test(a_profile_of_convolutions_is_whole),
        cmocka_unit_test(the_trace_is_whole),
    };
    return CHECK_MAIN(tests);
}
