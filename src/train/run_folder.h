/*
 * The folder of a run: its lock, its files' names, and the two files that grow (metrics.jsonl,
 * log.txt). Everything else is written whole through base/file.h. Test: tests/test_trainer.c
 */
#ifndef CUPEL_TRAIN_RUN_FOLDER_H
#define CUPEL_TRAIN_RUN_FOLDER_H

#include "base/error.h"

#define RUN_CONFIG "config.yaml"
#define RUN_PLAN "plan.json"
#define RUN_SPLIT "split.json"
#define RUN_ENVIRONMENT "env.json"
#define RUN_METRICS "metrics.jsonl"
#define RUN_STATE "state.safetensors"
#define RUN_LAST "last.safetensors"
#define RUN_BEST "best.safetensors"
#define RUN_LOG "log.txt"

struct run_folder {
    char *path;
    int lock;     /* descriptor of the folder, or -1 */
    size_t there; /* how much of the path was there before it was opened */
};

/* The path of a new run: `wanted`, or with NULL runs/NAME-N, the first that is free. */
cupel_status run_folder_choose(char **out, const char *wanted, const char *name,
                               struct cupel_error *error);
enum run_folder_use {
    RUN_FOLDER_LOOK,  /* changes nothing */
    RUN_FOLDER_GO_ON, /* removes what an interrupted write left behind */
    RUN_FOLDER_MAKE   /* the same, and makes the folder where there is none */
};

/* Opens and locks the folder. BUSY when another process holds it. */
cupel_status run_folder_open(struct run_folder *folder, const char *path, enum run_folder_use use,
                             struct cupel_error *error);
void run_folder_close(struct run_folder *folder);
/* Whether the folder holds a run. */
bool run_folder_is_run(const char *path);
/* Whether a run was killed there while it began: nothing in it could be gone on with or is missed,
 * and the next run may take the folder. */
bool run_folder_is_stub(const char *path);
/* Whether it has several of a run's files. */
bool run_folder_holds(const char *path);
/* Whether the path, links followed, is that of a file of a run in such a folder. */
bool run_folder_owns(const char *path);
/* Takes back a run that could not begin: its files, the folders made for it, and the lock. */
void run_folder_unmake(struct run_folder *folder);
/* Removes the files of a run, and nothing else. */
cupel_status run_folder_clear(const struct run_folder *folder, struct cupel_error *error);
/* The path of a file in it, in fresh memory; NULL when refused. */
char *run_folder_file(const struct run_folder *folder, const char *name);
/* Appends bytes to a file and syncs it. *size (may be NULL): of the file afterwards. */
cupel_status run_folder_append(const struct run_folder *folder, const char *name, const char *text,
                               uint64_t *size, struct cupel_error *error);
/* *size: of a file, 0 where there is none. */
cupel_status run_folder_size(const struct run_folder *folder, const char *name, uint64_t *size,
                             struct cupel_error *error);
/* Cuts a file that is longer than `size`; a missing or shorter one is left alone. */
cupel_status run_folder_cut(const struct run_folder *folder, const char *name, uint64_t size,
                            struct cupel_error *error);

#endif
