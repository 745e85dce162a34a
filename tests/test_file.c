/* Files (src/base/file.c): whole reads with a limit, writes that happen or do not, every
 * failure. */
#define _GNU_SOURCE
#include "support/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_kind.h"
#include "base/memory.h"
#include "cupel/file.h"

static char root[] = "/tmp/cupel-file-XXXXXX";
static struct cupel_error error;

/* A path below the test's folder; eight may be in use at once. */
static const char *at(const char *name) {
    static char paths[8][600];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static int entries(const char *folder) {
    DIR *open = opendir(folder);
    int count = 0;
    while (readdir(open) != NULL)
        count++;
    closedir(open);
    return count - 2;
}

static void check_contents(const char *path, const void *bytes, size_t size) {
    uint8_t *got = NULL;
    size_t got_size = 0;
    CHECK_OK_TEXT(file_read(path, 0, &got, &got_size, &error), error.text);
    CHECK_U64(got_size, size);
    CHECK(memcmp(got, bytes, size) == 0);
    CHECK_I64(got[size], 0);
    cupel_free(got);
}

static void test_round_trip(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 300000};
    uint8_t *bytes = cupel_alloc(300000, 1);
    for (size_t i = 0; i < 300000; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_context("size %zu", sizes[i]);
        CHECK_OK_TEXT(file_write(at("round"), bytes, sizes[i], &error), error.text);
        check_contents(at("round"), bytes, sizes[i]);
    }
    cupel_free(bytes);
    CHECK_I64(unlink(at("round")), 0);
    CHECK_I64(entries(root), 0);
}

/* Not so in a bare chroot. */
static bool proc_is_mounted(void) {
    return access("/proc/self/status", R_OK) == 0;
}

static void test_limits(void **state) {
    (void)state;
    CHECK_OK(file_write(at("ten"), "0123456789", 10, &error));
    uint8_t *bytes = NULL;
    size_t size = 0;
    CHECK_OK(file_read(at("ten"), 10, &bytes, &size, &error));
    cupel_free(bytes);
    bytes = NULL;
    CHECK_STATUS(file_read(at("ten"), 9, &bytes, &size, &error), CUPEL_STATUS_BAD_DATA);
    CHECK(bytes == NULL);
    CHECK_CONTAINS(error.text, "/ten");
    CHECK_CONTAINS(error.text, "9 bytes");
    /* a file without a size of its own: the limit holds all the same */
    CHECK_STATUS(file_read("/dev/zero", 5000, &bytes, &size, &error), CUPEL_STATUS_BAD_DATA);
    CHECK_OK(file_read("/dev/null", 0, &bytes, &size, &error));
    CHECK_U64(size, 0);
    cupel_free(bytes);
    if (proc_is_mounted()) { /* says it has 0 bytes */
        CHECK_OK(file_read("/proc/self/status", 0, &bytes, &size, &error));
        CHECK(size > 100);
        CHECK_CONTAINS((const char *)bytes, "Pid:");
        cupel_free(bytes);
    }
    unlink(at("ten"));
}

static void test_read_failures(void **state) {
    (void)state;
    uint8_t *bytes = NULL;
    size_t size = 0;
    CHECK_STATUS(file_read(at("absent"), 0, &bytes, &size, &error), CUPEL_STATUS_IO);
    CHECK_CONTAINS(error.text, "absent: No such file");
    CHECK_STATUS(file_read(root, 0, &bytes, &size, &error), CUPEL_STATUS_IO);
    CHECK_CONTAINS(error.text, "directory");
    CHECK_OK(file_write(at("f"), "x", 1, &error));
    CHECK_STATUS(file_read(at("f/g"), 0, &bytes, &size, &error), CUPEL_STATUS_IO);
    CHECK(bytes == NULL);
    unlink(at("f"));
}

/* Reading a pipe: the growth of the buffer, and every allocation of it refused in turn. */
static void test_read_refused(void **state) {
    (void)state;
    CHECK_OK(file_write(at("big"), at("big"), 20, &error));
    for (int pass = 0; pass < (proc_is_mounted() ? 2 : 1); pass++) {
        const char *path = pass == 0 ? at("big") : "/proc/self/status";
        bool through = false;
        for (uint64_t n = 0; n < 20 && !through; n++) {
            uint8_t *bytes = NULL;
            size_t size = 0;
            check_context("%s, refusing request %" PRIu64, path, n);
            const struct cupel_memory_stats before = cupel_memory_stats();
            cupel_memory_fail_after(n, true);
            const cupel_status status = file_read(path, 0, &bytes, &size, &error);
            cupel_memory_fail_never();
            through = status == CUPEL_STATUS_OK;
            if (!through)
                CHECK_STATUS(status, CUPEL_STATUS_OUT_OF_MEMORY);
            cupel_free(bytes);
            CHECK_U64(cupel_memory_stats().live_blocks, before.live_blocks);
        }
        CHECK(through);
    }
    unlink(at("big"));
}

static void test_pieces(void **state) {
    (void)state;
    struct file_writer writer;
    CHECK_OK_TEXT(file_writer_open(&writer, at("pieces"), &error), error.text);
    CHECK(!file_exists(at("pieces"))); /* nothing is seen before the commit */
    CHECK_CONTAINS(writer.temporary, "/.pieces.tmp-");
    CHECK_OK(file_writer_write(&writer, "abc", 3, &error));
    CHECK_OK(file_writer_write(&writer, "", 0, &error));
    CHECK_OK(file_writer_write(&writer, "defg", 4, &error));
    CHECK_U64(writer.written, 7);
    CHECK_OK_TEXT(file_writer_commit(&writer, &error), error.text);
    file_writer_cancel(&writer); /* harmless */
    file_writer_cancel(&writer);
    check_contents(at("pieces"), "abcdefg", 7);
    CHECK_STATUS(file_writer_write(&writer, "x", 1, &error), CUPEL_STATUS_BUG);
    CHECK_STATUS(file_writer_commit(&writer, &error), CUPEL_STATUS_BUG);
    struct file_writer zeroed = {0};
    file_writer_cancel(&zeroed); /* must not close descriptor 0 */
    CHECK(fcntl(0, F_GETFD) != -1 || errno == EBADF);
    unlink(at("pieces"));
}

static void test_cancel_keeps_the_old_file(void **state) {
    (void)state;
    CHECK_OK(file_write(at("kept"), "old", 3, &error));
    struct file_writer writer;
    CHECK_OK(file_writer_open(&writer, at("kept"), &error));
    CHECK_OK(file_writer_write(&writer, "new contents", 12, &error));
    CHECK_I64(entries(root), 2);
    file_writer_cancel(&writer);
    CHECK_I64(entries(root), 1);
    check_contents(at("kept"), "old", 3);
    unlink(at("kept"));
}

static void test_injected_failures(void **state) {
    (void)state;
    CHECK_OK(file_write(at("target"), "old", 3, &error));
    for (int for_good = 0; for_good < 2; for_good++) {
        for (uint64_t n = 0; n < 2; n++) { /* the write and the sync of the commit */
            check_context("for good %d, failing write %" PRIu64, for_good, n);
            file_fail_after(n, for_good != 0);
            CHECK_STATUS(file_write(at("target"), "new", 3, &error), CUPEL_STATUS_IO);
            CHECK_CONTAINS(error.text, "/target");
            CHECK_CONTAINS(error.text, "free space or choose another folder");
            file_fail_never();
            CHECK_I64(entries(root), 1);
            check_contents(at("target"), "old", 3);
        }
    }
    file_fail_after(0, false);
    CHECK_STATUS(file_write(at("target"), "new", 3, &error), CUPEL_STATUS_IO);
    CHECK_OK(file_write(at("target"), "new", 3, &error)); /* once means once */
    file_fail_after(2, true);
    CHECK_OK(file_write(at("target"), "newer", 5, &error));
    CHECK_STATUS(file_write(at("target"), "x", 1, &error), CUPEL_STATUS_IO);
    CHECK_STATUS(file_write(at("target"), "x", 1, &error), CUPEL_STATUS_IO);
    file_fail_never();
    check_contents(at("target"), "newer", 5);
    unlink(at("target"));
}

static void test_memory_refused(void **state) {
    (void)state;
    CHECK_OK(file_write(at("target"), "old", 3, &error));
    bool through = false;
    for (uint64_t n = 0; n < 20 && !through; n++) {
        check_context("refusing request %" PRIu64, n);
        const struct cupel_memory_stats before = cupel_memory_stats();
        cupel_memory_fail_after(n, true);
        const cupel_status status = file_write(at("target"), "new", 3, &error);
        cupel_memory_fail_never();
        through = status == CUPEL_STATUS_OK;
        CHECK_U64(cupel_memory_stats().live_blocks, before.live_blocks);
        CHECK_I64(entries(root), 1);
    }
    CHECK(through);
    check_contents(at("target"), "new", 3);
    cupel_memory_fail_after(0, true);
    CHECK_STATUS(file_make_folder(at("a/b"), NULL, &error), CUPEL_STATUS_OUT_OF_MEMORY);
    CHECK(file_join("a", "b") == NULL);
    cupel_memory_fail_never();
    CHECK(!file_exists(at("a")));
    unlink(at("target"));
}

static void test_targets_that_cannot_be(void **state) {
    (void)state;
    struct file_writer writer;
    CHECK_STATUS(file_write(root, "x", 1, &error), CUPEL_STATUS_IO);
    CHECK_CONTAINS(error.text, "is a folder");
    CHECK_STATUS(file_write(at(""), "x", 1, &error), CUPEL_STATUS_IO);
    CHECK_CONTAINS(error.text, "names a folder");
    CHECK_STATUS(file_writer_open(&writer, "", &error), CUPEL_STATUS_IO);
    file_writer_cancel(&writer);
    CHECK_STATUS(file_write(at("no/such/folder"), "x", 1, &error), CUPEL_STATUS_IO);
    CHECK_CONTAINS(error.text, "No such file");
    CHECK_OK(file_write(at("plain"), "x", 1, &error));
    CHECK_STATUS(file_write(at("plain/below"), "x", 1, &error), CUPEL_STATUS_IO);
    char name[300];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    CHECK_STATUS(file_write(at(name), "x", 1, &error), CUPEL_STATUS_IO);
    CHECK_CONTAINS(error.text, "choose a shorter name");
    unlink(at("plain"));
    CHECK_I64(entries(root), 0);
}

/* A folder took the place of the target between opening and committing. */
static void test_rename_fails(void **state) {
    (void)state;
    struct file_writer writer;
    CHECK_OK(file_writer_open(&writer, at("raced"), &error));
    CHECK_OK(file_writer_write(&writer, "x", 1, &error));
    CHECK_I64(mkdir(at("raced"), 0777), 0);
    CHECK_STATUS(file_writer_commit(&writer, &error), CUPEL_STATUS_IO);
    CHECK_CONTAINS(error.text, "cannot replace");
    CHECK_I64(rmdir(at("raced")), 0);
    CHECK_I64(entries(root), 0);
}

static void test_devices_are_written_directly(void **state) {
    (void)state;
    struct stat before;
    struct stat after;
    CHECK_I64(stat("/dev/null", &before), 0);
    CHECK_OK_TEXT(file_write("/dev/null", "x", 1, &error), error.text);
    CHECK_I64(stat("/dev/null", &after), 0);
    CHECK(S_ISCHR(after.st_mode) && before.st_ino == after.st_ino);
    CHECK_STATUS(file_write("/dev/full", "x", 1, &error), CUPEL_STATUS_IO);
    CHECK_CONTAINS(error.text, "No space left");
    CHECK_CONTAINS(error.text, "free space or choose another folder");
}

static void test_links_and_permissions_survive(void **state) {
    (void)state;
    CHECK_I64(mkdir(at("sub"), 0777), 0);
    CHECK_OK(file_write(at("sub/real"), "old", 3, &error));
    CHECK_I64(chmod(at("sub/real"), 0640), 0);
    CHECK_I64(symlink("sub/real", at("link")), 0);
    CHECK_OK(file_write(at("link"), "new", 3, &error));
    struct stat info;
    CHECK_I64(lstat(at("link"), &info), 0);
    CHECK(S_ISLNK(info.st_mode));
    CHECK_I64(lstat(at("sub/real"), &info), 0);
    CHECK(S_ISREG(info.st_mode));
    CHECK_I64(info.st_mode & 07777, 0640);
    check_contents(at("sub/real"), "new", 3);
    CHECK_I64(symlink("nowhere", at("dangling")), 0); /* becomes a file */
    CHECK_OK(file_write(at("dangling"), "x", 1, &error));
    check_contents(at("dangling"), "x", 1);
    unlink(at("link"));
    unlink(at("dangling"));
    unlink(at("sub/real"));
    rmdir(at("sub"));
    CHECK_I64(entries(root), 0);
}

/* What a killed process left is removed; what a living one writes, or a link, is left alone. */
static void test_leftovers(void **state) {
    (void)state;
    struct file_writer writer;
    FILE *old = fopen(at(".t.tmp-0"), "w");
    CHECK(old != NULL);
    fclose(old);
    CHECK_OK(file_write(at("t"), "x", 1, &error));
    CHECK(!file_exists(at(".t.tmp-0")));

    CHECK_OK(file_writer_open(&writer, at("t"), &error));
    CHECK_CONTAINS(writer.temporary, "/.t.tmp-0");
    CHECK_OK(file_writer_write(&writer, "first", 5, &error));
    CHECK_OK(file_write(at("t"), "second", 6, &error)); /* another, meanwhile */
    check_contents(at("t"), "second", 6);
    CHECK_OK_TEXT(file_writer_commit(&writer, &error), error.text);
    check_contents(at("t"), "first", 5);

    CHECK_OK(file_write(at("other"), "y", 1, &error));
    CHECK_I64(symlink("other", at(".t.tmp-0")), 0);
    CHECK_OK(file_write(at("t"), "x", 1, &error));
    check_contents(at("other"), "y", 1);
    unlink(at(".t.tmp-0"));
    unlink(at("other"));
    unlink(at("t"));
    CHECK_I64(entries(root), 0);
}

/* In a child with a limit on file sizes the kernel takes a part of the write, then refuses. */
static void test_short_writes(void **state) {
    (void)state;
    CHECK_OK(file_write(at("limited"), "old", 3, &error));
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        const struct rlimit limit = {1000, 1000};
        setrlimit(RLIMIT_FSIZE, &limit);
        char bytes[5000] = {0};
        const cupel_status status = file_write(at("limited"), bytes, sizeof bytes, &error);
        const bool told = strstr(error.text, "ulimit -f") != NULL;
        _exit(status == CUPEL_STATUS_IO && told ? 0 : 1);
    }
    int result = -1;
    CHECK_I64(waitpid(child, &result, 0), child);
    CHECK_I64(result, 0);
    check_contents(at("limited"), "old", 3);
    CHECK_I64(entries(root), 1);
    unlink(at("limited"));
}

struct drain {
    const char *path;
    uint64_t sum;
    size_t size;
};

static void *drain_pipe(void *argument) {
    struct drain *drain = argument;
    const int descriptor = open(drain->path, O_RDONLY);
    uint8_t buffer[777];
    for (;;) {
        const ssize_t got = read(descriptor, buffer, sizeof buffer);
        if (got <= 0)
            break;
        for (ssize_t i = 0; i < got; i++)
            drain->sum += buffer[i];
        drain->size += (size_t)got;
    }
    close(descriptor);
    return NULL;
}

/* A named pipe takes a large write in many parts. */
static void test_pipes(void **state) {
    (void)state;
    CHECK_I64(mkfifo(at("pipe"), 0666), 0);
    enum { SIZE = 500000 };
    uint8_t *bytes = cupel_alloc(SIZE, 1);
    uint64_t sum = 0;
    for (size_t i = 0; i < SIZE; i++)
        sum += bytes[i] = (uint8_t)(i % 253);
    struct drain drain = {.path = at("pipe")};
    pthread_t thread;
    CHECK_I64(pthread_create(&thread, NULL, drain_pipe, &drain), 0);
    CHECK_OK_TEXT(file_write(at("pipe"), bytes, SIZE, &error), error.text);
    pthread_join(thread, NULL);
    CHECK_U64(drain.size, SIZE);
    CHECK_U64(drain.sum, sum);
    cupel_free(bytes);
    unlink(at("pipe"));
}

static const char *shared_path;

static void *write_many(void *argument) {
    const char *text = argument;
    struct cupel_error own = {0};
    for (int i = 0; i < 20; i++)
        if (file_write(shared_path, text, 1000, &own) != CUPEL_STATUS_OK)
            return (void *)1;
    return NULL;
}

static void test_writers_at_once(void **state) {
    (void)state;
    static char texts[3][1000];
    pthread_t threads[3];
    const char *path = shared_path = at("shared");
    for (int i = 0; i < 3; i++)
        memset(texts[i], 'a' + i, sizeof texts[i]);
    for (int i = 0; i < 3; i++)
        CHECK_I64(pthread_create(&threads[i], NULL, write_many, texts[i]), 0);
    for (int i = 0; i < 3; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
    uint8_t *bytes = NULL;
    size_t size = 0;
    CHECK_OK(file_read(path, 0, &bytes, &size, &error));
    CHECK_U64(size, 1000);
    CHECK(memcmp(bytes, texts[bytes[0] - 'a'], 1000) == 0); /* one of the three, unmixed */
    cupel_free(bytes);
    CHECK_I64(entries(root), 1);
    unlink(path);
}

static void test_relative_names(void **state) {
    (void)state;
    char before[4096];
    CHECK(getcwd(before, sizeof before) != NULL);
    CHECK_I64(chdir(root), 0);
    CHECK_OK_TEXT(file_write("here", "x", 1, &error), error.text);
    CHECK(file_exists("here"));
    CHECK_I64(entries("."), 1);
    unlink("here");
    CHECK_I64(chdir(before), 0);
}

static void test_folders(void **state) {
    (void)state;
    CHECK_OK_TEXT(file_make_folder(at("a/b//c/"), NULL, &error), error.text);
    CHECK(file_exists(at("a/b/c")));
    CHECK_OK(file_make_folder(at("a/b/c"), NULL, &error)); /* there already */
    CHECK_OK(file_make_folder("/", NULL, &error));
    CHECK_STATUS(file_make_folder("", NULL, &error), CUPEL_STATUS_IO);
    CHECK_OK(file_write(at("a/file"), "x", 1, &error));
    CHECK_STATUS(file_make_folder(at("a/file"), NULL, &error), CUPEL_STATUS_IO);
    CHECK_CONTAINS(error.text, "in the way");
    CHECK_STATUS(file_make_folder(at("a/file/below"), NULL, &error), CUPEL_STATUS_IO);
    char name[301] = ""; /* longer than any file system takes */
    memset(name, 'n', sizeof(name) - 1);
    CHECK_STATUS(file_make_folder(at(name), NULL, &error), CUPEL_STATUS_IO);
    CHECK_CONTAINS(error.text, "nnnn: File name too long");
    unlink(at("a/file"));
    rmdir(at("a/b/c"));
    rmdir(at("a/b"));
    rmdir(at("a"));
    CHECK(!file_exists(at("a")));
}

/* What was there stays, and what is not empty. */
static void test_folders_unmade(void **state) {
    (void)state;
    char path[512];
    size_t there = 0;
    CHECK_OK(file_make_folder(at("a"), NULL, &error));
    snprintf(path, sizeof path, "%s", at("a/b/c/"));
    CHECK_OK(file_make_folder(path, &there, &error));
    CHECK_I64((int64_t)there, (int64_t)strlen(at("a")));
    CHECK_OK(file_write(at("a/b/file"), "x", 1, &error));
    file_unmake_folder(path, there);
    CHECK(!file_exists(at("a/b/c")) && file_exists(at("a/b")));
    unlink(at("a/b/file"));
    file_unmake_folder(at("a/b"), there);
    CHECK(!file_exists(at("a/b")) && file_exists(at("a")));
    CHECK_OK(file_make_folder(at("a"), &there, &error));
    file_unmake_folder(at("a"), there);
    CHECK(file_exists(at("a")));
    rmdir(at("a"));
}

static void test_folders_looked_into(void **state) {
    (void)state;
    CHECK_OK(file_make_folder(at("data/set"), NULL, &error));
    CHECK_OK(file_write(at("data/file"), "x", 1, &error));
    CHECK_OK(file_check_folder(at("data"), &error));
    CHECK_STATUS(file_check_folder(at("none"), &error), CUPEL_STATUS_IO);
    CHECK_CONTAINS(error.text, "none: No such file or directory; check the path");
    CHECK_STATUS(file_check_folder(at("data/file"), &error), CUPEL_STATUS_IO);
    CHECK_CONTAINS(error.text, "Not a directory");
    char set[512];
    snprintf(set, sizeof set, "%s", at("data/set"));
    static const char *const inside[] = {"data/set",       "data/set/",          "data/set/run",
                                         "data/set/a/b/c", "data/../data/set/x", "link",
                                         "link/run",       "new/../data/set/x",  "new/a/../../link",
                                         "link/../set/x",  "data/none/../set"};
    static const char *const outside[] = {"data",    "data/set-2",  "data/settle/x",
                                          "run",     "none/set",    "data/set/../x",
                                          "link/..", "new/../data", "link/../../x"};
    CHECK_I64(symlink("data/set", at("link")), 0);
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        check_context("%s", inside[i]);
        CHECK(file_lies_in(at(inside[i]), set));
    }
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        check_context("%s", outside[i]);
        CHECK(!file_lies_in(at(outside[i]), set));
    }
    CHECK(file_lies_in("/none/of/these", "/"));
    CHECK(!file_lies_in(set, at("none")));
    CHECK(!file_lies_in("runs/x-1", set));
    unlink(at("link"));
    unlink(at("data/file"));
    rmdir(at("data/set"));
    rmdir(at("data"));
}

static void test_join(void **state) {
    (void)state;
    static const char *const cases[][3] = {{"runs", "mnist-1", "runs/mnist-1"},
                                           {"runs/", "x", "runs/x"},
                                           {"", "x", "x"},
                                           {"/", "x", "/x"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = file_join(cases[i][0], cases[i][1]);
        CHECK_STRING(path, cases[i][2]);
        cupel_free(path);
    }
}

/* The public function follows links and says what is wrong. */
static void test_public_write(void **state) {
    (void)state;
    char sentence[CUPEL_FILE_SENTENCE_SIZE];
    uint8_t *bytes;
    size_t size;
    CHECK(symlink("linked", at("public-link")) == 0);
    CHECK_OK(cupel_file_write(at("linked"), "old", 3, sentence));
    CHECK_OK(cupel_file_write(at("public-link"), "new", 3, sentence));
    CHECK_OK(file_read(at("linked"), 0, &bytes, &size, &error));
    CHECK(size == 3 && memcmp(bytes, "new", 3) == 0);
    cupel_free(bytes);
    CHECK_STATUS(cupel_file_write(root, "x", 1, sentence), CUPEL_STATUS_IO);
    CHECK_CONTAINS(sentence, root);
    CHECK(unlink(at("public-link")) == 0 && unlink(at("linked")) == 0);
}

static void test_kinds(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *kind;
    } rows[] = {
        {"\x89PNG\r\n", 6, "a PNG image"},
        {"\xff\xd8\xff\xe0", 4, "a JPEG image"},
        {"\x1f\x8b\x08", 3, "a gzip file"},
        {"\0\0\x08\3\0\0", 6, "an IDX file"},
        {"\x1f\x8b\0\0\0\0\0\0{\"a", 11, "a safetensors file"},
        {" <!DOCTYPE html>", 16, "a web page"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_STRING(file_kind(rows[i].bytes, rows[i].size), rows[i].kind);
    CHECK(file_kind("train:\n  epochs: 3\n", 19) == NULL);
    CHECK(file_kind("\x89PNG", 3) == NULL);
    CHECK(file_kind("", 0) == NULL);
    CHECK_STRING(cupel_file_advice(ENOENT), "; check the path");
    CHECK_STRING(cupel_file_advice(0), "");
}

int main(int argc, char **argv) {
    if (mkdtemp(root) == NULL) {
        perror(root);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_read_failures),
        cmocka_unit_test(test_read_refused),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_cancel_keeps_the_old_file),
        cmocka_unit_test(test_injected_failures),
        cmocka_unit_test(test_memory_refused),
        cmocka_unit_test(test_targets_that_cannot_be),
        cmocka_unit_test(test_rename_fails),
        cmocka_unit_test(test_devices_are_written_directly),
        cmocka_unit_test(test_links_and_permissions_survive),
        cmocka_unit_test(test_leftovers),
        cmocka_unit_test(test_short_writes),
        cmocka_unit_test(test_pipes),
        cmocka_unit_test(test_writers_at_once),
        cmocka_unit_test(test_relative_names),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_folders_unmade),
        cmocka_unit_test(test_folders_looked_into),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_public_write),
    };
    const int failed = CHECK_MAIN(tests);
    rmdir(root);
    return failed;
}
