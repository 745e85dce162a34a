/*
 * libcurl behind one function. The library is loaded when it is needed first: it draws in some
 * thirty others, which every start of every program on cupel would pay for.
 * Test: tests/test_download.c
 */
#include "data/url_fetch.h"

#define CURL_DISABLE_TYPECHECK /* its macros call the functions by name */
#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

/* The functions of the library, looked up once. */
static struct {
    pthread_once_t once;
    bool there;
    CURL *(*create)(void);
    CURLcode (*set)(CURL *, CURLoption, ...);
    CURLcode (*perform)(CURL *);
    CURLcode (*get)(CURL *, CURLINFO, ...);
    const char *(*explain)(CURLcode);
    void (*destroy)(CURL *);
} curl = {.once = PTHREAD_ONCE_INIT};

/* ISO C has no cast from void * to a function: the address is copied. */
static bool look_up(void *library, const char *name, void *function) {
    void *const address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

static void load(void) {
    CURLcode (*start)(long) = NULL;
    void *const library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return;
    curl.there = look_up(library, "curl_global_init", &start) &&
                 look_up(library, "curl_easy_init", &curl.create) &&
                 look_up(library, "curl_easy_setopt", &curl.set) &&
                 look_up(library, "curl_easy_perform", &curl.perform) &&
                 look_up(library, "curl_easy_getinfo", &curl.get) &&
                 look_up(library, "curl_easy_strerror", &curl.explain) &&
                 look_up(library, "curl_easy_cleanup", &curl.destroy) &&
                 start(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

struct transfer {
    const struct url_fetch *fetch;
    struct file_writer *writer;
    struct cupel_error *error;
    cupel_status status; /* of writing */
    bool stopped, full;
    char said[CURL_ERROR_SIZE];
};

/* Returning another number than was given ends the transfer. */
static size_t take(char *bytes, size_t one, size_t count, void *user) {
    struct transfer *const transfer = user;
    const uint64_t most = transfer->fetch->size + 1;
    const uint64_t room = most > transfer->writer->written ? most - transfer->writer->written : 0;
    const size_t size = one * count, kept = size < room ? size : (size_t)room;
    if (kept > 0)
        transfer->status = file_writer_write(transfer->writer, bytes, kept, transfer->error);
    transfer->full = transfer->writer->written >= most;
    return transfer->status == CUPEL_STATUS_OK && !transfer->full ? size : 0;
}

static int report(void *user, curl_off_t total, curl_off_t got, curl_off_t up_total,
                  curl_off_t up) {
    struct transfer *const transfer = user;
    const struct url_fetch *const fetch = transfer->fetch;
    (void)total, (void)got, (void)up_total, (void)up;
    transfer->stopped =
        fetch->progress != NULL && !fetch->progress(fetch->user, transfer->writer->written);
    return transfer->stopped;
}

static CURLcode configure(CURL *handle, struct transfer *transfer) {
    const curl_off_t start = (curl_off_t)transfer->writer->written;
    const struct {
        CURLoption option;
        long value;
    } numbers[] = {
        {CURLOPT_FAILONERROR, 1},     {CURLOPT_FOLLOWLOCATION, 1},   {CURLOPT_MAXREDIRS, 10},
        {CURLOPT_CONNECTTIMEOUT, 30}, {CURLOPT_LOW_SPEED_LIMIT, 10}, {CURLOPT_LOW_SPEED_TIME, 60},
        {CURLOPT_NOSIGNAL, 1},        {CURLOPT_NOPROGRESS, 0},
    };
    CURLcode code = curl.set(handle, CURLOPT_URL, transfer->fetch->url);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && code == CURLE_OK; i++)
        code = curl.set(handle, numbers[i].option, numbers[i].value);
    /* Where an address leads by itself, no file of this machine may be meant. */
    const struct {
        CURLoption option;
        const void *value;
    } pointers[] = {
        {CURLOPT_PROTOCOLS_STR, "http,https,file"}, {CURLOPT_REDIR_PROTOCOLS_STR, "http,https"},
        {CURLOPT_ERRORBUFFER, transfer->said},      {CURLOPT_WRITEDATA, transfer},
        {CURLOPT_XFERINFODATA, transfer},           {CURLOPT_USERAGENT, "cupel"},
    };
    for (size_t i = 0; i < sizeof pointers / sizeof pointers[0] && code == CURLE_OK; i++)
        code = curl.set(handle, pointers[i].option, pointers[i].value);
    if (code == CURLE_OK)
        code = curl.set(handle, CURLOPT_WRITEFUNCTION, take);
    if (code == CURLE_OK)
        code = curl.set(handle, CURLOPT_XFERINFOFUNCTION, report);
    if (code == CURLE_OK && start > 0)
        code = curl.set(handle, CURLOPT_RESUME_FROM_LARGE, start);
    return code;
}

static cupel_status fail_transfer(const struct transfer *transfer, CURLcode code, long answer) {
    const struct url_fetch *const fetch = transfer->fetch;
    if (answer >= 400)
        return cupel_fail(transfer->error, CUPEL_STATUS_IO,
                          "%s: the server answered %ld%s: check the address, or get the files "
                          "elsewhere with --from",
                          fetch->url, answer, answer == 404 ? " (not found)" : "");
    return cupel_fail(transfer->error, CUPEL_STATUS_IO,
                      "%s: %s (%llu of %llu bytes are there): run the command again to go on, or "
                      "get the files elsewhere with --from",
                      fetch->url, transfer->said[0] != '\0' ? transfer->said : curl.explain(code),
                      (unsigned long long)transfer->writer->written,
                      (unsigned long long)fetch->size);
}

/* *again: the server cannot go on in the middle. */
static cupel_status attempt(struct transfer *transfer, bool *again) {
    long answer = 0;
    const bool resumes = transfer->writer->written > 0;
    CURL *const handle = curl.create();
    if (handle == NULL)
        return cupel_fail_memory(transfer->error, "a transfer", 0);
    CURLcode code = configure(handle, transfer);
    if (code == CURLE_OK)
        code = curl.perform(handle);
    (void)curl.get(handle, CURLINFO_RESPONSE_CODE, &answer);
    curl.destroy(handle);
    *again = resumes &&
             (code == CURLE_RANGE_ERROR || code == CURLE_BAD_DOWNLOAD_RESUME || answer == 416);
    if (transfer->status != CUPEL_STATUS_OK)
        return transfer->status;
    if (transfer->stopped)
        return cupel_fail(transfer->error, CUPEL_STATUS_INTERRUPTED,
                          "%s: stopped after %llu bytes; run the command again to go on",
                          transfer->fetch->url, (unsigned long long)transfer->writer->written);
    if (code == CURLE_OK || transfer->full || *again)
        return CUPEL_STATUS_OK;
    return fail_transfer(transfer, code, answer);
}

cupel_status url_fetch(const struct url_fetch *fetch, struct file_writer *writer,
                       struct cupel_error *error) {
    struct transfer transfer = {.fetch = fetch, .writer = writer, .error = error};
    bool again = false;
    (void)pthread_once(&curl.once, load);
    if (!curl.there)
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED,
                          "%s cannot be fetched, because libcurl.so.4 is not there: install it "
                          "(Debian: libcurl4), or give a folder with --from",
                          fetch->url);
    CUPEL_TRY(attempt(&transfer, &again));
    if (!again)
        return CUPEL_STATUS_OK;
    CUPEL_TRY(file_writer_restart(writer, error));
    transfer.said[0] = '\0';
    return attempt(&transfer, &again);
}
