/*
 * cupel bench step --profile --json and --trace as programs read them: whole JSON by the library's
 * own reader, each node of the step in them, and times that fit together. What the times are is no
 * test's business.
 */
#define _DEFAULT_SOURCE
#include "support/check.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"

enum { STEPS = 3 };

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

/* Runs the program on the smallest network. */
static void bench(const char *options) {
    char command[512];
    const char *const program = getenv("CUPEL");
    CHECK(program != NULL);
    snprintf(command, sizeof command,
             "'%s' bench step mlp-vae --batch 20 --threads 1 --steps %d --quiet %s", program,
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

struct node {
    char *name;
    double ms, share, begin, duration;
};

static bool more_of(struct json_reader *json, char close) {
    bool more;
    CHECK_OK(json_more(json, close, &more));
    return more;
}

/* An object with the members that matter; others are skipped. */
static struct node read_node(struct json_reader *json) {
    struct node node = {0};
    struct json_text key = {0}, text = {0};
    CHECK_OK(json_expect(json, '{'));
    while (more_of(json, '}')) {
        CHECK_OK(json_key(json, &key));
        double *const number = strcmp(key.bytes, "ms") == 0      ? &node.ms
                               : strcmp(key.bytes, "share") == 0 ? &node.share
                               : strcmp(key.bytes, "ts") == 0    ? &node.begin
                               : strcmp(key.bytes, "dur") == 0   ? &node.duration
                                                                 : NULL;
        if (number != NULL) {
            CHECK_OK(json_f64(json, number));
        } else if (strcmp(key.bytes, "node") == 0 || strcmp(key.bytes, "name") == 0) {
            CHECK_OK(json_string(json, &text));
            cupel_free(node.name);
            node.name = cupel_strdup(text.bytes);
        } else {
            CHECK_OK(json_skip(json));
        }
    }
    json_text_release(&key);
    json_text_release(&text);
    return node;
}

struct totals {
    int nodes, products;
    double ms, share;
};

static void read_nodes(struct json_reader *json, struct totals *totals) {
    double last = INFINITY;
    CHECK_OK(json_expect(json, '['));
    while (more_of(json, ']')) {
        const struct node node = read_node(json);
        CHECK(node.name != NULL && node.ms >= 0 && node.ms <= last); /* longest first */
        last = node.ms;
        totals->nodes++;
        totals->products += strstr(node.name, "matmul") != NULL;
        totals->ms += node.ms;
        totals->share += node.share;
        cupel_free(node.name);
    }
}

static void the_profile_is_whole(void **state) {
    (void)state;
    char options[128];
    struct cupel_error error = {0};
    struct json_reader json;
    struct json_text key = {0};
    struct totals totals = {0};
    double sum = -1, good = -1, peak = 0, bandwidth = 0;
    size_t size;
    make_folder();
    snprintf(options, sizeof options, "--profile --json >'%s/profile.json'", folder);
    bench(options);
    uint8_t *const text = read_text("profile.json", &size);
    bool profile = false;
    json_begin(&json, (const char *)text, size, "profile", &error);
    CHECK_OK(json_expect(&json, '{'));
    while (more_of(&json, '}')) {
        CHECK_OK(json_key(&json, &key));
        if (strcmp(key.bytes, "profile") != 0) {
            CHECK_OK(json_skip(&json));
            continue;
        }
        profile = true;
        CHECK_OK(json_expect(&json, '{'));
        while (more_of(&json, '}')) {
            CHECK_OK(json_key(&json, &key));
            if (strcmp(key.bytes, "nodes") == 0)
                read_nodes(&json, &totals);
            else if (strcmp(key.bytes, "nodes_ms") == 0)
                CHECK_OK(json_f64(&json, &sum));
            else if (strcmp(key.bytes, "peak_gflops") == 0)
                CHECK_OK(json_f64(&json, &peak));
            else if (strcmp(key.bytes, "peak_gbytes_per_s") == 0)
                CHECK_OK(json_f64(&json, &bandwidth));
            else if (strcmp(key.bytes, "share_at_70_percent_of_floor") == 0)
                CHECK_OK(json_f64(&json, &good));
            else
                CHECK_OK(json_skip(&json));
        }
    }
    CHECK_OK(json_finish(&json));
    CHECK(profile && totals.nodes > 20 && totals.products >= 4);
    CHECK(peak > 0 && bandwidth > 0 && good >= 0 && good <= 1);
    CHECK(fabs(totals.ms - sum) < 1e-5 * (totals.nodes + 10)); /* rounded in the text */
    CHECK(fabs(totals.share - 1) < 1e-5 * totals.nodes);
    json_text_release(&key);
    cupel_free(text);
    remove_folder();
}

static void the_trace_is_whole(void **state) {
    (void)state;
    char options[128];
    struct cupel_error error = {0};
    struct json_reader json;
    struct json_text key = {0};
    size_t size;
    int events = 0, guards = 0;
    double last = 0;
    make_folder();
    snprintf(options, sizeof options, "--trace '%s/trace.json' >/dev/null", folder);
    bench(options);
    uint8_t *const text = read_text("trace.json", &size);
    json_begin(&json, (const char *)text, size, "trace", &error);
    CHECK_OK(json_expect(&json, '{'));
    while (more_of(&json, '}')) {
        CHECK_OK(json_key(&json, &key));
        if (strcmp(key.bytes, "traceEvents") != 0) {
            CHECK_OK(json_skip(&json));
            continue;
        }
        CHECK_OK(json_expect(&json, '['));
        while (more_of(&json, ']')) {
            const struct node node = read_node(&json);
            CHECK(node.name != NULL);
            guards += strstr(node.name, "guard") != NULL;
            CHECK(node.begin >= last - 0.002 && node.duration >= 0); /* one after the other */
            last = node.begin + node.duration;
            events++;
            cupel_free(node.name);
        }
    }
    CHECK_OK(json_finish(&json));
    CHECK(events > 20 * STEPS);
    CHECK_I64(guards, STEPS);
    json_text_release(&key);
    cupel_free(text);
    remove_folder();
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_profile_is_whole),
        cmocka_unit_test(the_trace_is_whole),
    };
    return CHECK_MAIN(tests);
}
