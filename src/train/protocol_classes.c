/*
 * Which labels are normal and which anomalous, and that there is an image of every class that a
 * recipe names: a misspelt class would otherwise train or judge on less than was asked for.
 * Test: tests/test_protocol.c, tests/bad_input.bats
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "data/dataset_internal.h"
#include "train/protocol_internal.h"

static bool listed(const int64_t *list, size_t count, int64_t label) {
    for (size_t i = 0; i < count; i++)
        if (list[i] == label)
            return true;
    return false;
}

bool protocol_is_anomaly(const cupel_protocol *protocol, int64_t label) {
    if (label < 0 || protocol->n_normal == 0 || protocol->n_anomalous > 0)
        return listed(protocol->anomalous, protocol->n_anomalous, label);
    return !listed(protocol->normal, protocol->n_normal, label);
}

bool protocol_is_normal(const cupel_protocol *protocol, int64_t label) {
    if (protocol->n_normal == 0)
        return !protocol_is_anomaly(protocol, label);
    return listed(protocol->normal, protocol->n_normal, label);
}

/* --- whether they occur --- */

/* Of IDX files: a label is a byte. */
struct labels {
    bool seen[256];
};

static cupel_status add_labels(cupel_protocol *protocol, const char *folder, const char *split,
                               struct labels *labels) {
    uint8_t *values;
    size_t count;
    bool there;
    CUPEL_TRY(dataset_holds(folder, split, &there, &protocol->error));
    if (!there)
        return CUPEL_STATUS_OK;
    CUPEL_TRY(dataset_read_labels(folder, split, &values, &count, &protocol->error));
    for (size_t i = 0; i < count; i++)
        labels->seen[values[i]] = true;
    cupel_free(values);
    return CUPEL_STATUS_OK;
}

/* The first of the list that no image has; count: none. */
static size_t find_missing(const struct labels *labels, const int64_t *list, size_t count) {
    size_t at = 0;
    while (at < count && list[at] >= 0 && list[at] < 256 && labels->seen[list[at]])
        at++;
    return at;
}

/* "0 to 4, 7" */
static void describe(const struct labels *labels, char text[160]) {
    size_t length = 0;
    text[0] = '\0';
    for (int first = 0, last; first < 256; first = last + 1) {
        last = first;
        if (!labels->seen[first])
            continue;
        while (last < 255 && labels->seen[last + 1])
            last++;
        if (length > 120) {
            snprintf(text + length, 160 - length, ", ...");
            return;
        }
        length +=
            (size_t)snprintf(text + length, 160 - length, first == last ? "%s%d" : "%s%d to %d",
                             length == 0 ? "" : ", ", first, last);
    }
}

static cupel_status check_list(cupel_protocol *protocol, const char *key, const char *folder,
                               bool test_too) {
    struct labels labels = {0};
    const int64_t *list;
    size_t count;
    char there[160];
    CUPEL_TRY(cupel_recipe_get_ints(protocol->recipe, key, &list, &count));
    if (count == 0)
        return CUPEL_STATUS_OK;
    CUPEL_TRY(add_labels(protocol, folder, "train", &labels));
    if (test_too && find_missing(&labels, list, count) < count)
        CUPEL_TRY(add_labels(protocol, folder, "test", &labels));
    const size_t missing = find_missing(&labels, list, count);
    if (missing == count)
        return CUPEL_STATUS_OK;
    describe(&labels, there);
    return cupel_fail(&protocol->error, CUPEL_STATUS_BAD_DATA,
                      "%s: %s: no %simage in %s has class %" PRId64 ", and there are %s: take it "
                      "out of the list, or give another folder with --data",
                      cupel_recipe_origin(protocol->recipe, key), key, test_too ? "" : "training ",
                      folder, list[missing], there);
}

/* Anomalies may be among the test images alone, as where nobody had seen one before. */
cupel_status protocol_check_classes(cupel_protocol *protocol) {
    CUPEL_TRY(check_list(protocol, "data.normal_classes", protocol->folder, false));
    CUPEL_TRY(check_list(protocol, "data.anomaly_classes", protocol->folder, true));
    if (protocol->foreign == NULL)
        return CUPEL_STATUS_OK;
    return check_list(protocol, "anomaly.foreign_classes", protocol->foreign, true);
}
