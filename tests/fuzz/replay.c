/*
 * replay: runs a fuzz target over the files of its corpus, so that `make check` keeps what fuzzing once found.
 *
 * Linked with fuzz_NAME.c it reads $srcdir/tests/fuzz/corpus/NAME, or the folders that are its arguments.
 * Each input is also given cut off after every byte of its beginning: parsers break at ends.
 * An empty corpus is a failure: it means that the wrong folder was named.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TRUNCATE_MAX 512

/* In a block of exactly its size, so that the sanitizer sees a read beyond it. */
static void give(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);

    if (!exact)
        abort();
    memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0, got;

    if (!file) {
        perror(path);
        return 1;
    }
    do {
        data = realloc(data, size + 65536);
        if (!data)
            abort();
        got = fread(data + size, 1, 65536, file);
        size += got;
    } while (got);
    fclose(file);

    give(data, size);
    for (size_t n = 0; n < size && n < TRUNCATE_MAX; n++)
        give(data, n);
    free(data);
    return 0;
}

static int run_folder(const char *name, unsigned *files)
{
    DIR *folder = opendir(name);
    struct dirent *entry;
    int failed = 0;

    if (!folder) {
        perror(name);
        return 1;
    }
    while (!failed && (entry = readdir(folder))) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", name, entry->d_name);
        failed = run_file(path);
        (*files)++;
    }
    closedir(folder);
    return failed;
}

int main(int argc, char **argv)
{
    const char *top = getenv("srcdir"), *name = strstr(argv[0], "fuzz_");
    char own[4096];
    unsigned files = 0;

    for (int i = 1; i < argc; i++)
        if (run_folder(argv[i], &files))
            return 1;
    if (argc < 2 && name) {
        snprintf(own, sizeof(own), "%s/tests/fuzz/corpus/%s", top ? top : ".", name + strlen("fuzz_"));
        if (run_folder(own, &files))
            return 1;
    }
    printf("%u inputs\n", files);
    return files ? 0 : 1;
}
