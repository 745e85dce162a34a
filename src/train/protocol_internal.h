/*
 * The inside of a cupel_protocol, shared by what trains (protocol.c) and what judges
 * (protocol_split.c). Test: tests/test_protocol.c
 */
#ifndef CUPEL_TRAIN_PROTOCOL_INTERNAL_H
#define CUPEL_TRAIN_PROTOCOL_INTERNAL_H

#include "base/error.h"
#include "base/json.h"
#include "cupel/protocol.h"
#include "data/corrupt.h"

enum { SPLIT_TEST, SPLIT_REPRESENTATIVE_1, SPLIT_REPRESENTATIVE_2, SPLIT_LABELLED, SPLIT_COUNT };

/* Images in the order in which they were added, with their kinds. */
struct protocol_part {
    cupel_dataset *images; /* NULL: not there (yet) */
    uint8_t *kinds;
    int64_t counts[CUPEL_KIND_COUNT];
};

struct cupel_protocol {
    cupel_recipe *recipe;
    uint64_t seed;
    char *folder, *foreign;          /* of the data sets; foreign may be NULL */
    cupel_dataset *train, *held_out; /* padded */
    struct protocol_part parts[SPLIT_COUNT];
    int64_t own_classes; /* the foreign labels begin here */
    const int64_t *normal, *anomalous;
    size_t n_normal, n_anomalous;
    struct corruptions corruptions;
    struct json_text text;
    struct cupel_error error;
};

/* Takes over the outcome of a call that made a data set: keeps the sentence of a failure. A file
 * that does not fit another is bad data here. */
cupel_status protocol_made(cupel_protocol *protocol, cupel_status status, cupel_dataset **set);
/* The folder of the own or the foreign data set that `path` lies in, or NULL. */
const char *protocol_folder_around(const cupel_protocol *protocol, const char *path);
/* cupel_protocol_create() for a training that begins: BAD_DATA, naming key, class and folder, where
 * a list of classes has one of which there is no image. Who judges other data need not have all. */
cupel_status protocol_create(cupel_protocol **out, cupel_recipe *recipe, const char *folder,
                             const char *beside, bool all_classes);
cupel_status protocol_check_classes(cupel_protocol *protocol);
bool protocol_is_normal(const cupel_protocol *protocol, int64_t label);
bool protocol_is_anomaly(const cupel_protocol *protocol, int64_t label);
/* Adds images, all of one kind, behind those that are there; takes the data set over. */
cupel_status part_add(cupel_protocol *protocol, struct protocol_part *part, cupel_dataset *images,
                      cupel_protocol_kind kind);
void part_release(struct protocol_part *part);
/* Adds the anomalies of both representative sets, whose normal images are there. `all`: the whole
 * training split. */
cupel_status protocol_mix(cupel_protocol *protocol, const cupel_dataset *all);

#endif
