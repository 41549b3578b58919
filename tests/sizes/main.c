/* Binds a model to the sizes given and runs it on zeros: what a C program does that has no Python.

   caller MODEL.so INPUTS RESULTS [SIZE ...]: ranks as "2,1", then the sizes of all inputs one after the other; prints
   "bind CODE", a message where there is one, then "run CODE" and the shapes of the results. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t (*bytes_function)(void);
typedef int32_t (*init_function)(void *, int32_t);
typedef int32_t (*bind_function)(void *, const int64_t *, int64_t *, int64_t *);
typedef int32_t (*run_function)(void *, void *const *, void *);
typedef int64_t (*message_function)(void *, char *, int64_t);
typedef int32_t (*close_function)(void *);

enum { MOST = 64, WIDEST = 16 }; /* buffers; bytes of an element */

static void *aligned(int64_t size) {
    void *memory = aligned_alloc(64, ((size_t)size + 63) / 64 * 64 + 64);
    if (memory == NULL) exit(3);
    return memset(memory, 0, (size_t)size);
}

static int ranks(char *text, int *out) {
    int count = 0;
    for (char *word = strtok(text, ","); word != NULL; word = strtok(NULL, ",")) out[count++] = atoi(word);
    return count;
}

static void *zeros(const int64_t *shape, int rank) {
    int64_t elements = 1;
    for (int axis = 0; axis < rank; axis++) elements *= shape[axis];
    return aligned(elements * WIDEST);
}

int main(int argc, char **argv) {
    int input_ranks[MOST], result_ranks[MOST], at = 0;
    int64_t shapes[MOST], results[MOST], workspace;
    void *buffers[MOST];
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return fprintf(stderr, "%s\n", dlerror()), 2;
    int inputs = ranks(argv[2], input_ranks), outputs = ranks(argv[3], result_ranks);
    for (int n = 4; n < argc; n++) shapes[n - 4] = atoll(argv[n]);

    bind_function bind = (bind_function)dlsym(library, "dlc_bind");
    run_function run = (run_function)dlsym(library, "dlc_run");
    message_function message = (message_function)dlsym(library, "dlc_message");
    void *context = aligned(((bytes_function)dlsym(library, "dlc_ctx_bytes"))());
    ((init_function)dlsym(library, "dlc_init"))(context, 2);

    char text[1024];
    printf("early %d\n", run(context, buffers, NULL)); /* before any dlc_bind */
    int32_t code = bind(context, shapes, results, &workspace);
    printf("bind %d\n", code);
    if (code != 0) {
        message(context, text, sizeof text);
        printf("%s\n", text);
        printf("run %d\n", run(context, buffers, NULL)); /* refused: nothing is bound */
    } else {
        for (int n = 0, from = 0; n < inputs; from += input_ranks[n++]) buffers[at++] = zeros(shapes + from, input_ranks[n]);
        for (int n = 0, from = 0; n < outputs; from += result_ranks[n++]) buffers[at++] = zeros(results + from, result_ranks[n]);
        code = run(context, buffers, aligned(workspace));
        printf("run %d\n", code);
        if (code != 0 && message(context, text, sizeof text) > 0) printf("%s\n", text);
        for (int n = 0, total = 0; n < outputs; total += result_ranks[n++]) {
            printf("result");
            for (int axis = 0; axis < result_ranks[n]; axis++) printf(" %lld", (long long)results[total + axis]);
            printf("\n");
        }
    }
    return ((close_function)dlsym(library, "dlc_close"))(context);
}
