/* Fetching published data sets (src/data/download.c, url_fetch.c, published.c), from a server of
 * the test's own: whole, in parts, broken off, and what is no data at all. */
#include "support/drill.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/file_kind.h"
#include "data/download_internal.h"
#include "support/http.h"

static struct http_server server;
static char sum[SHA256_TEXT_SIZE], folder[64], inner[128];
static struct published_set set;
static char addresses[2][64];

/* A set of two files, both with the server's bytes, from two of its addresses. */
static void publish(const char *first, const char *second) {
    uint8_t bytes[HTTP_SIZE];
    const char *const ways[2] = {first, second};
    for (int i = 0; i < HTTP_SIZE; i++)
        bytes[i] = http_byte(i);
    sha256_text(sum, bytes, sizeof bytes);
    set = (struct published_set){.name = "small",
                                 .files = {{"a.gz", HTTP_SIZE, sum}, {"b.gz", HTTP_SIZE, sum}}};
    for (int i = 0; i < 2 && ways[i] != NULL; i++) {
        snprintf(addresses[i], sizeof addresses[i], "http://127.0.0.1:%d/%s/", server.port,
                 ways[i]);
        set.addresses[i] = addresses[i];
    }
}

static void begin(const char *first, const char *second) {
    publish(first, second);
    snprintf(folder, sizeof folder, "%s", drill_folder());
    snprintf(inner, sizeof inner, "%s/small", folder);
    CHECK_I64(mkdir(inner, 0700), 0);
}

static void end(void) {
    drill_folder_remove(inner);
    drill_folder_remove(folder);
}

/* Fetches with --from `from`; the sentence stays until the next call. */
static cupel_status fetch(const char *from, int expected_files) {
    static char sentence[1024];
    cupel_download *download;
    const cupel_download_options options = {.from = from, .to = folder};
    const cupel_status status = download_fetch_set(&download, &set, "small", &options);
    snprintf(sentence, sizeof sentence, "%s", cupel_download_error(download));
    check_context("%s", sentence);
    if (expected_files >= 0)
        CHECK_I64(cupel_download_fetched(download), expected_files);
    if (status == CUPEL_STATUS_OK)
        CHECK_STRING(cupel_download_folder(download), inner);
    cupel_download_destroy(download);
    return status;
}

static const char *said(void) {
    return check_state()->context;
}

static void put(const char *name, int count, int shift) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", inner, name);
    FILE *const file = fopen(path, "wb");
    CHECK(file != NULL);
    for (int i = 0; i < count; i++)
        CHECK(fputc((http_byte(i) + shift) & 255, file) != EOF);
    CHECK_I64(fclose(file), 0);
}

/* The size of a file, -1 where there is none; all its bytes are right. */
static int64_t size_of(const char *name) {
    char path[256];
    uint8_t *bytes;
    size_t size;
    struct cupel_error error = {0};
    snprintf(path, sizeof path, "%s/%s", inner, name);
    if (!file_exists(path))
        return -1;
    CHECK_OK(file_read(path, 0, &bytes, &size, &error));
    for (size_t i = 0; i < size; i++)
        CHECK_I64(bytes[i], http_byte((int)i));
    cupel_free(bytes);
    return (int64_t)size;
}

static void check_whole(void) {
    CHECK_I64(size_of("a.gz"), HTTP_SIZE);
    CHECK_I64(size_of("b.gz"), HTTP_SIZE);
    CHECK_I64(size_of(".a.gz.part"), -1);
    CHECK_I64(size_of(".b.gz.part"), -1);
}

/* FIPS 180-4's examples. */
static void test_sha256(void **state) {
    (void)state;
    char text[SHA256_TEXT_SIZE];
    sha256_text(text, "abc", 3);
    CHECK_STRING(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_text(text, "", 0);
    CHECK_STRING(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_table(void **state) {
    (void)state;
    CHECK_STRING(cupel_download_name(0), "fashion-mnist");
    CHECK_STRING(cupel_download_name(1), "mnist");
    CHECK(cupel_download_name(2) == NULL);
    for (size_t i = 0; published_at(i) != NULL; i++)
        for (int f = 0; f < PUBLISHED_FILES; f++) {
            const struct published_file *const file = &published_at(i)->files[f];
            CHECK_I64((int64_t)strlen(file->sha256), SHA256_TEXT_SIZE - 1);
            CHECK_I64((int64_t)strspn(file->sha256, "0123456789abcdef"), SHA256_TEXT_SIZE - 1);
        }
    cupel_download *download;
    CHECK_STATUS(cupel_download_fetch(&download, "emnist", NULL), CUPEL_STATUS_INVALID_ARGUMENT);
    CHECK_CONTAINS(cupel_download_error(download), "fashion-mnist or mnist");
    cupel_download_destroy(download);
    cupel_download_destroy(NULL);
}

static void test_web_pages_are_told_from_data(void **state) {
    (void)state;
    static const char *const pages[] = {"<!DOCTYPE html>", "  \r\n<HTML lang=en>",
                                        "\xef\xbb\xbf<html>", "<?xml version=\"1.0\"?><Error>"};
    static const char *const others[] = {"", "<", "\x1f\x8b\x08", "  ", "<a", "html"};
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        CHECK(looks_like_web_page(pages[i], strlen(pages[i])));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        CHECK(!looks_like_web_page(others[i], strlen(others[i])));
}

static void test_whole(void **state) {
    (void)state;
    begin("ranges", NULL);
    CHECK_STATUS(fetch(NULL, 2), CUPEL_STATUS_OK);
    check_whole();
    CHECK_STATUS(fetch("http://127.0.0.1:1/", 0), CUPEL_STATUS_OK); /* nobody is asked again */
    put("b.gz", HTTP_SIZE, 1);                                      /* damaged since */
    CHECK_STATUS(fetch(NULL, 1), CUPEL_STATUS_OK);
    check_whole();
    end();
}

static void test_goes_on_where_it_was(void **state) {
    (void)state;
    begin("tail", NULL); /* answers only who asks for the rest */
    put(".a.gz.part", 4000, 0);
    put(".b.gz.part", HTTP_SIZE - 1, 0);
    CHECK_STATUS(fetch(NULL, 2), CUPEL_STATUS_OK);
    check_whole();
    end();
}

static void test_begins_again_where_it_must(void **state) {
    (void)state;
    begin("plain", NULL); /* cannot go on in the middle */
    put(".a.gz.part", 4000, 0);
    put(".b.gz.part", HTTP_SIZE + 500, 0); /* too long */
    CHECK_STATUS(fetch(NULL, 2), CUPEL_STATUS_OK);
    check_whole();
    end();
    begin("ranges", NULL); /* of other bytes */
    put(".a.gz.part", 4000, 1);
    put(".b.gz.part", HTTP_SIZE, 1);
    CHECK_STATUS(fetch(NULL, 2), CUPEL_STATUS_OK);
    check_whole();
    end();
}

static void test_broken_off(void **state) {
    (void)state;
    begin("cut", NULL);
    CHECK_STATUS(fetch(NULL, 0), CUPEL_STATUS_IO);
    CHECK_CONTAINS(said(), "run the command again to go on");
    CHECK_I64(size_of(".a.gz.part"), HTTP_SIZE / 2);
    CHECK_I64(size_of("a.gz"), -1);
    publish("tail", NULL); /* for b.gz there is nothing to go on with */
    CHECK_STATUS(fetch(NULL, 1), CUPEL_STATUS_IO);
    CHECK_CONTAINS(said(), "404 (not found)");
    CHECK_I64(size_of(".b.gz.part"), -1);
    publish("tail", "plain"); /* the second address is tried */
    CHECK_STATUS(fetch(NULL, 1), CUPEL_STATUS_OK);
    check_whole();
    end();
}

static void test_what_is_no_data(void **state) {
    (void)state;
    static const char *const ways[] = {"page", "login"};
    for (int i = 0; i < 2; i++) {
        begin(ways[i], NULL);
        put(".a.gz.part", 0, 0);
        CHECK_STATUS(fetch(NULL, 0), CUPEL_STATUS_BAD_DATA);
        CHECK_CONTAINS(said(), "is a web page and not data");
        CHECK_I64(size_of(".a.gz.part"), -1); /* not to be gone on with */
        CHECK_I64(size_of("a.gz"), -1);
        end();
    }
    begin("ranges", NULL);
    set.files[0].sha256 = "00";
    CHECK_STATUS(fetch(NULL, 0), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(said(), "has the SHA-256 ");
    CHECK_I64(size_of(".a.gz.part"), -1);
    set.files[0] = (struct published_file){"a.gz", HTTP_SIZE - 7, sum};
    CHECK_STATUS(fetch(NULL, 0), CUPEL_STATUS_BAD_DATA); /* not read to its end */
    CHECK_CONTAINS(said(), "has 10001 bytes, and the published file has 10000");
    set.files[0] = (struct published_file){"a.gz", HTTP_SIZE + 7, sum};
    CHECK_STATUS(fetch(NULL, 0), CUPEL_STATUS_IO);
    CHECK_CONTAINS(said(), "ended after 10007 of 10014 bytes");
    CHECK_STATUS(fetch("http://127.0.0.1:1", 0), CUPEL_STATUS_IO);
    CHECK_STATUS(fetch("gopher://127.0.0.1/", 0), CUPEL_STATUS_IO);
    put(".a.gz.part", 0, 0);
    end();
}

static void test_from_folders(void **state) {
    (void)state;
    char from[64], url[192], name[128];
    begin("gone", NULL);
    put("a.gz", HTTP_SIZE, 0);
    put("b.gz", HTTP_SIZE, 0);
    snprintf(from, sizeof from, "%s", folder);
    snprintf(name, sizeof name, "%s", inner);
    snprintf(folder, sizeof folder, "%s", drill_folder());
    snprintf(inner, sizeof inner, "%s/small", folder);
    CHECK_STATUS(fetch(from, 2), CUPEL_STATUS_OK); /* FROM/small/a.gz */
    check_whole();
    drill_folder_remove(inner);
    CHECK_STATUS(fetch(name, 2), CUPEL_STATUS_OK); /* FROM/a.gz */
    check_whole();
    drill_folder_remove(inner);
    snprintf(url, sizeof url, "file://%s", name);
    CHECK_STATUS(fetch(url, 2), CUPEL_STATUS_OK);
    check_whole();
    snprintf(url, sizeof url, "%s/a.gz", inner);
    CHECK_I64(unlink(url), 0);
    put(".a.gz.part", 100, 0); /* files can be gone on with too */
    snprintf(url, sizeof url, "file://%s", name);
    CHECK_STATUS(fetch(url, 1), CUPEL_STATUS_OK);
    check_whole();
    drill_folder_remove(inner);
    set.files[1].sha256 = "00";
    CHECK_STATUS(fetch(from, 1), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(said(), name);
    set.files[1].name = "c.gz";
    CHECK_STATUS(fetch(from, 0), CUPEL_STATUS_IO);
    CHECK_CONTAINS(said(), "holds neither small/c.gz nor c.gz");
    end();
    drill_folder_remove(name);
    drill_folder_remove(from);
}

static void test_one_process_a_folder(void **state) {
    (void)state;
    begin("ranges", NULL);
    const int lock = open(inner, O_RDONLY | O_DIRECTORY);
    CHECK_I64(flock(lock, LOCK_EX), 0);
    CHECK_STATUS(fetch(NULL, 0), CUPEL_STATUS_BUSY);
    CHECK_CONTAINS(said(), "another process is fetching");
    close(lock);
    CHECK_STATUS(fetch(NULL, 2), CUPEL_STATUS_OK);
    end();
}

static bool stop_in_the_middle(void *user, const char *file, uint64_t got, uint64_t total) {
    CHECK_STRING(file, "a.gz");
    CHECK_U64(total, HTTP_SIZE);
    *(uint64_t *)user = got;
    return got == 0;
}

static void test_stopping_on_request(void **state) {
    (void)state;
    uint64_t got = 0;
    begin("ranges", NULL);
    cupel_download *download;
    const cupel_download_options options = {
        .to = folder, .progress = stop_in_the_middle, .user = &got};
    CHECK_STATUS(download_fetch_set(&download, &set, "small", &options), CUPEL_STATUS_INTERRUPTED);
    cupel_download_destroy(download);
    CHECK(got > 0);
    CHECK_I64(size_of(".a.gz.part"), (int64_t)got);
    CHECK_STATUS(fetch(NULL, 2), CUPEL_STATUS_OK);
    check_whole();
    end();
}

static void test_where_it_is_kept(void **state) {
    (void)state;
    struct cupel_error error = {0};
    char *cache;
    CHECK_I64(setenv("XDG_CACHE_HOME", "/x", 1), 0);
    CHECK_OK(data_cache_folder(&cache, &error));
    CHECK_STRING(cache, "/x/cupel");
    cupel_free(cache);
    CHECK_I64(setenv("XDG_CACHE_HOME", "relative", 1), 0); /* to be ignored, says XDG */
    CHECK_I64(setenv("HOME", "/home/me", 1), 0);
    CHECK_OK(data_cache_folder(&cache, &error));
    CHECK_STRING(cache, "/home/me/.cache/cupel");
    cupel_free(cache);
    CHECK_I64(unsetenv("HOME") + unsetenv("XDG_CACHE_HOME") + unsetenv("CUPEL_DATA"), 0);
    CHECK_OK(data_cache_folder(&cache, &error));
    CHECK(cache == NULL);
    cupel_download *download;
    CHECK_STATUS(cupel_download_fetch(&download, "mnist", NULL), CUPEL_STATUS_IO);
    CHECK_CONTAINS(cupel_download_error(download), "give one with --to");
    cupel_download_destroy(download);
}

/* Each write fails in turn: the next fetch goes on and ends well. */
static void test_failing_writes(void **state) {
    (void)state;
    for (int way = 0; way < 2; way++) {
        uint64_t drills = 0;
        for (uint64_t n = 0;; n++) {
            char from[64], source[128];
            begin("ranges", NULL);
            snprintf(from, sizeof from, "%s", folder);
            snprintf(source, sizeof source, "%s", inner);
            put("a.gz", HTTP_SIZE, 0);
            put("b.gz", HTTP_SIZE, 0);
            begin("ranges", NULL);
            file_fail_after(n, false);
            const cupel_status status = fetch(way == 0 ? NULL : from, -1);
            file_fail_never();
            if (status != CUPEL_STATUS_OK) {
                CHECK_STATUS(status, CUPEL_STATUS_IO);
                CHECK_STATUS(fetch(NULL, -1), CUPEL_STATUS_OK);
            }
            check_whole();
            end();
            drill_folder_remove(source);
            drill_folder_remove(from);
            if (status == CUPEL_STATUS_OK)
                break;
            drills++;
        }
        CHECK(drills >= 4);
    }
}

static cupel_status fetch_once(void *user) {
    cupel_download *download;
    char path[256];
    const cupel_download_options options = {.from = user, .to = folder};
    const cupel_status status = download_fetch_set(&download, &set, "small", &options);
    if (status != CUPEL_STATUS_OK && download != NULL)
        CHECK(cupel_download_error(download)[0] != '\0');
    cupel_download_destroy(download);
    for (const char *name = "a.gz\0b.gz\0.a.gz.part\0.b.gz.part\0"; *name != '\0';
         name += strlen(name) + 1) {
        snprintf(path, sizeof path, "%s/%s", inner, name);
        (void)unlink(path);
    }
    return status;
}

static void test_memory_refused(void **state) {
    (void)state;
    char from[64], source[128];
    begin("ranges", NULL);
    snprintf(from, sizeof from, "%s", folder);
    snprintf(source, sizeof source, "%s", inner);
    put("a.gz", HTTP_SIZE, 0);
    put("b.gz", HTTP_SIZE, 0);
    begin("ranges", NULL);
    CHECK(drill_memory(fetch_once, from) > 20);
    snprintf(from, sizeof from, "http://127.0.0.1:%d/ranges/", server.port);
    CHECK(drill_memory(fetch_once, from) > 20);
    end();
    drill_folder_remove(source);
    *strrchr(source, '/') = '\0';
    drill_folder_remove(source);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_web_pages_are_told_from_data),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_goes_on_where_it_was),
        cmocka_unit_test(test_begins_again_where_it_must),
        cmocka_unit_test(test_broken_off),
        cmocka_unit_test(test_what_is_no_data),
        cmocka_unit_test(test_from_folders),
        cmocka_unit_test(test_one_process_a_folder),
        cmocka_unit_test(test_stopping_on_request),
        cmocka_unit_test(test_failing_writes),
        cmocka_unit_test(test_memory_refused),
        cmocka_unit_test(test_where_it_is_kept),
    };
    if (setenv("no_proxy", "127.0.0.1", 1) != 0)
        return 1;
    server = http_start();
    const int failures = CHECK_MAIN(tests);
    http_stop(&server);
    return failures;
}
