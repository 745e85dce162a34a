/*
 * Files: read whole with a size limit; write whole or not at all (temporary name beside the target,
 * fsync, rename, fsync of the folder). Failures of writes can be injected. Test: tests/test_file.c
 */
#ifndef CUPEL_BASE_FILE_H
#define CUPEL_BASE_FILE_H

#include <stdint.h>

#include "base/error.h"

/* What to do about a failure of a file, from its errno: "; check the path", or "" where nobody
 * knows. */
const char *file_advice(int number);
/* Reads the file into fresh memory (cupel_free); one 0 byte follows the contents. limit 0: 1 GiB.
 * IO when it cannot be read, BAD_DATA when it is larger than limit. */
cupel_status file_read(const char *path, uint64_t limit, uint8_t **out, size_t *out_size,
                       struct cupel_error *error);
/* An open temporary file that becomes `path` at commit. */
struct file_writer {
    int descriptor;
    char *path;
    char *temporary;
    uint64_t written;
};
cupel_status file_writer_open(struct file_writer *writer, const char *path,
                              struct cupel_error *error);
cupel_status file_writer_write(struct file_writer *writer, const void *bytes, size_t size,
                               struct cupel_error *error);
cupel_status file_writer_commit(struct file_writer *writer, struct cupel_error *error);
/* As file_writer_open(), but the temporary file has a lasting name, .NAME.part, and what is there
 * is gone on with: writer->written bytes. The caller sees to it that nobody else writes it. */
cupel_status file_writer_resume(struct file_writer *writer, const char *path,
                                struct cupel_error *error);
/* Drops what has been written. */
cupel_status file_writer_restart(struct file_writer *writer, struct cupel_error *error);
/* Closes and keeps the temporary file; harmless on a zeroed writer. */
void file_writer_leave(struct file_writer *writer);
/* Removes the temporary file; harmless after commit and on a zeroed writer. */
void file_writer_cancel(struct file_writer *writer);
/* The three steps in one. */
cupel_status file_write(const char *path, const void *bytes, size_t size,
                        struct cupel_error *error);
/* Creates the folder and its parents. *there (NULL: nobody asks) is the length of the part of the
 * path that was there before, also where it fails. */
cupel_status file_make_folder(const char *path, size_t *there, struct cupel_error *error);
/* Removes the folders that were made beyond `there`, as far as they are empty. */
void file_unmake_folder(const char *path, size_t there);
bool file_exists(const char *path);
/* IO where there is no such folder, or none that we may look into. */
cupel_status file_check_folder(const char *path, struct cupel_error *error);
/* The path without links and dots, which need not exist: what lacks is taken as folders that will
 * be made, so that new/../x is x. false when it is too long. */
enum { FILE_PATH_SIZE = 4096 };
bool file_resolve(const char *path, char out[FILE_PATH_SIZE]);
/* Whether `path`, which need not exist, is the folder or lies in it, links followed. */
bool file_lies_in(const char *path, const char *folder);
/* IO: "cannot <verb> <path>: <what errno says>; <what to do>". */
cupel_status file_fail(struct cupel_error *error, const char *verb, const char *path, int number);
/* "folder/name" in fresh memory, NULL when refused. */
char *file_join(const char *folder, const char *name);
/* Fault injection for tests: the n-th write from now fails with ENOSPC (once or for good). */
void file_fail_after(uint64_t successes, bool for_good);
void file_fail_never(void);

#endif
