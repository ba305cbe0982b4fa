/* The Python binding, in CPython's limited API (one build for 3.11 and later). It checks every length before the kernel
 * sees a byte, releases the GIL while the kernel works, and lets one call at a time into an engine. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "host.h"
#include "policy.h"

typedef struct {
    PyObject_HEAD
    awm_image *image;
    const awm_path *path;
    void *scratch;
    u32 scratch_sessions;
    awm_pool *pool;
    pthread_mutex_t lock;
} Engine;

typedef struct {
    PyObject_HEAD
    u8 *bytes;
    u32 size;
    int busy; /* guarded by the GIL, because no two calls may advance the same state */
} State;

static PyTypeObject *engine_type, *state_type;

static void *aligned(size_t bytes)
{
    void *memory = 0;
    return posix_memalign(&memory, 64, bytes ? bytes : 64) == 0 ? memory : 0;
}

/* ---- State */

static State *state_new(u32 size)
{
    State *self = PyObject_New(State, state_type);
    if (!self)
        return 0;
    self->size = size;
    self->busy = 0;
    self->bytes = aligned(size);
    if (!self->bytes) {
        Py_DECREF(self);
        return (State *)PyErr_NoMemory();
    }
    memset(self->bytes, 0, size);
    return self;
}

static void state_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    free(((State *)object)->bytes);
    PyObject_Free(object);
    Py_DECREF(type);
}

static State *as_state(const Engine *self, PyObject *object)
{
    if (Py_TYPE(object) != state_type) {
        PyErr_SetString(PyExc_TypeError, "state: expected a State of this engine");
        return 0;
    }
    State *state = (State *)object;
    if (state->size != self->image->state_bytes) {
        PyErr_SetString(PyExc_ValueError, "state: made by an engine of another shape");
        return 0;
    }
    return state;
}

/* ---- Engine */

static const awm_built *find_path(const char *name)
{
    for (u32 i = 0; i < awm_path_count; i++)
        if (strcmp(awm_paths[i].name, name) == 0)
            return &awm_paths[i];
    return 0;
}

static int bytes_of(PyObject *object, const char *what, Py_ssize_t size, const u8 **out)
{
    char *data;
    Py_ssize_t length;
    if (!PyBytes_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s: expected bytes", what);
        return -1;
    }
    if (PyBytes_AsStringAndSize(object, &data, &length) < 0)
        return -1;
    if (length != size) {
        PyErr_Format(PyExc_ValueError, "%s length: expected %zd, found %zd", what, size, length);
        return -1;
    }
    *out = (const u8 *)data;
    return 0;
}

static int block_of(const Engine *self, PyObject *object, const u8 **out)
{
    if (bytes_of(object, "block", self->image->block_bytes, out) < 0)
        return -1;
    const u32 bad = awm_block_check(*out);
    if (bad) {
        PyErr_Format(PyExc_ValueError, "block offset %u: value out of range", bad - 1);
        return -1;
    }
    return 0;
}

static PyObject *engine_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"cartridge", "path", "threads", 0};
    PyObject *cartridge;
    const char *name;
    unsigned threads = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!s|I", names, &PyBytes_Type, &cartridge, &name, &threads))
        return 0;
    const awm_built *built = find_path(name);
    if (!built)
        return PyErr_Format(PyExc_ValueError, "path: no path is called %s", name);
    const char *missing = awm_missing(built);
    if (*missing)
        return PyErr_Format(PyExc_RuntimeError, "path %s: this machine lacks %s", name, missing);
    if (threads < 1 || threads > 64)
        return PyErr_Format(PyExc_ValueError, "threads: expected 1..64, found %u", threads);
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(cartridge, &data, &size) < 0)
        return 0;
    i32 why;
    const u64 bytes = awm_image_bytes((const u8 *)data, (u64)size, built->path, &why);
    if (!bytes) {
        static const char *reasons[] = {"", "header", "shape", "tensor directory", "shift", "weight of -128"};
        return PyErr_Format(PyExc_ValueError, "cartridge: bad %s", reasons[why]);
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Engine *self = (Engine *)alloc(type, 0);
    if (!self)
        return 0;
    pthread_mutex_init(&self->lock, 0);
    self->path = built->path;
    self->image = aligned(bytes);
    self->pool = awm_pool_new(threads);
    if (!self->image || !self->pool) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS
    awm_image_build(self->image, (const u8 *)data, built->path);
    Py_END_ALLOW_THREADS
    return (PyObject *)self;
}

static void engine_dealloc(PyObject *object)
{
    Engine *self = (Engine *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->pool)
        awm_pool_free(self->pool);
    free(self->image);
    free(self->scratch);
    pthread_mutex_destroy(&self->lock);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* Called with the engine's lock. */
static int want_scratch(Engine *self, u32 sessions)
{
    if (self->scratch_sessions >= sessions)
        return 0;
    const u64 bytes = awm_scratch_bytes(self->image, sessions);
    free(self->scratch);
    self->scratch_sessions = 0;
    self->scratch = aligned(bytes);
    if (!self->scratch)
        return -1;
    memset(self->scratch, 0, bytes);
    self->scratch_sessions = sessions;
    return 0;
}

/* The arguments that one call passes to the team. */
typedef struct {
    Engine *self;
    u32 sessions, what;
    void **states;
    const u8 **blocks, **inputs;
    const i16 **contexts;
    i16 **contexts_out;
    u8 **next;
} job;

static void run_backbone(void *arg, const awm_team *team)
{
    const job *j = arg;
    j->self->path->backbone(j->self->image, j->states, j->blocks, j->contexts_out, j->sessions, j->self->scratch, team);
}

static void run_heads(void *arg, const awm_team *team)
{
    const job *j = arg;
    j->self->path->heads(j->self->image, j->contexts, j->blocks, j->inputs, j->next, j->sessions, j->self->scratch, team);
}

static void run_bare(void *arg, const awm_team *team)
{
    const job *j = arg;
    j->self->path->bare(j->self->image, j->states, j->sessions, j->self->scratch, j->what, team);
}

/* 0, or -1 without memory. Releases the GIL; `nanoseconds` may be NULL. */
static int run(job *j, void (*work)(void *, const awm_team *), u64 *nanoseconds)
{
    int failed;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&j->self->lock);
    failed = want_scratch(j->self, j->sessions);
    if (!failed) {
        struct timespec before, after;
        if (nanoseconds)
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
        awm_pool_run(j->self->pool, work, j);
        if (nanoseconds) {
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
            *nanoseconds = (u64)(after.tv_sec - before.tv_sec) * 1000000000u + (u64)after.tv_nsec - (u64)before.tv_nsec;
        }
    }
    pthread_mutex_unlock(&j->self->lock);
    Py_END_ALLOW_THREADS
    if (failed)
        PyErr_NoMemory();
    return failed;
}

static Py_ssize_t context_size(const Engine *self) { return 2 * (Py_ssize_t)AWM_ROUND(self->image->d_model, AWM_PAD); }

static PyObject *new_bytes(Py_ssize_t size, void *data)
{
    PyObject *out = PyBytes_FromStringAndSize(0, size);
    if (out)
        *(void **)data = PyBytes_AsString(out);
    return out;
}

static int claim(State *state)
{
    if (state->busy) {
        PyErr_SetString(PyExc_ValueError, "state: in use by another call, or twice in this one");
        return -1;
    }
    state->busy = 1;
    return 0;
}

static int arity(Py_ssize_t found, Py_ssize_t expected)
{
    if (found == expected)
        return 0;
    PyErr_Format(PyExc_TypeError, "expected %zd arguments, found %zd", expected, found);
    return -1;
}

static PyObject *engine_backbone(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    Engine *self = (Engine *)object;
    State *state;
    const u8 *block;
    i16 *context;
    if (arity(nargs, 2) < 0 || !(state = as_state(self, args[0])) || block_of(self, args[1], &block) < 0 || claim(state) < 0)
        return 0;
    void *bytes = state->bytes;
    PyObject *out = new_bytes(context_size(self), &context);
    job j = {.self = self, .sessions = 1, .states = &bytes, .blocks = &block, .contexts_out = &context};
    if (out && run(&j, run_backbone, 0) < 0)
        Py_CLEAR(out);
    state->busy = 0;
    return out;
}

static PyObject *engine_heads(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    Engine *self = (Engine *)object;
    const u8 *context, *block, *inputs;
    u8 *next;
    if (arity(nargs, 3) < 0 || bytes_of(args[0], "context", context_size(self), &context) < 0 ||
        block_of(self, args[1], &block) < 0 || bytes_of(args[2], "inputs", AWM_INPUTS, &inputs) < 0)
        return 0;
    const i16 *values = (const i16 *)(const void *)context;
    PyObject *out = new_bytes(self->image->block_bytes, &next);
    job j = {.self = self, .sessions = 1, .contexts = &values, .blocks = &block, .inputs = &inputs, .next = &next};
    if (out && run(&j, run_heads, 0) < 0)
        Py_CLEAR(out);
    return out;
}

/* `count` lists of one length, at least 1; returns it, or 0 with an error set. */
static u32 same_length(PyObject *const *lists, int count)
{
    for (int i = 0; i < count; i++)
        if (!PyList_Check(lists[i])) {
            PyErr_SetString(PyExc_TypeError, "batch: expected lists");
            return 0;
        }
    const Py_ssize_t n = PyList_Size(lists[0]);
    for (int i = 1; i < count; i++)
        if (PyList_Size(lists[i]) != n) {
            PyErr_SetString(PyExc_ValueError, "batch: lists of different lengths");
            return 0;
        }
    if (n < 1 || n > 4096) {
        PyErr_Format(PyExc_ValueError, "batch: expected 1..4096 sessions, found %zd", n);
        return 0;
    }
    return (u32)n;
}

/* Pins a list's elements while the GIL is released; NULL with an error set. */
static PyObject *pinned(PyObject *list) { return PyList_AsTuple(list); }

static PyObject *engine_backbone_batch(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    Engine *self = (Engine *)object;
    if (arity(nargs, 2) < 0)
        return 0;
    const u32 n = same_length(args, 2);
    if (!n)
        return 0;
    PyObject *states = pinned(args[0]), *blocks = pinned(args[1]), *out = PyList_New(n);
    void **pointers = calloc(3 * (size_t)n, sizeof *pointers);
    u32 claimed = 0;
    int ok = states && blocks && out && (pointers || PyErr_NoMemory());
    job j = {.self = self, .sessions = n};
    if (ok) {
        j.states = pointers;
        j.blocks = (const u8 **)(pointers + n);
        j.contexts_out = (i16 **)(pointers + 2 * n);
    }
    for (u32 i = 0; ok && i < n; i++) {
        State *state = as_state(self, PyTuple_GetItem(states, i));
        PyObject *context = 0;
        ok = state && block_of(self, PyTuple_GetItem(blocks, i), &j.blocks[i]) == 0 &&
             (context = new_bytes(context_size(self), &j.contexts_out[i])) && PyList_SetItem(out, i, context) == 0 &&
             claim(state) == 0;
        if (ok) {
            claimed = i + 1;
            j.states[i] = state->bytes;
        }
    }
    ok = ok && run(&j, run_backbone, 0) == 0;
    for (u32 i = 0; i < claimed; i++)
        ((State *)PyTuple_GetItem(states, i))->busy = 0;
    free(pointers);
    Py_XDECREF(states);
    Py_XDECREF(blocks);
    if (!ok)
        Py_CLEAR(out);
    return out;
}

static PyObject *engine_heads_batch(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    Engine *self = (Engine *)object;
    if (arity(nargs, 3) < 0)
        return 0;
    const u32 n = same_length(args, 3);
    if (!n)
        return 0;
    PyObject *contexts = pinned(args[0]), *blocks = pinned(args[1]), *inputs = pinned(args[2]), *out = PyList_New(n);
    void **pointers = calloc(4 * (size_t)n, sizeof *pointers);
    int ok = contexts && blocks && inputs && out && (pointers || PyErr_NoMemory());
    job j = {.self = self, .sessions = n};
    if (ok) {
        j.contexts = (const i16 **)pointers;
        j.blocks = (const u8 **)(pointers + n);
        j.inputs = (const u8 **)(pointers + 2 * n);
        j.next = (u8 **)(pointers + 3 * n);
    }
    for (u32 i = 0; ok && i < n; i++) {
        PyObject *block = 0;
        ok = bytes_of(PyTuple_GetItem(contexts, i), "context", context_size(self), (const u8 **)&j.contexts[i]) == 0 &&
             block_of(self, PyTuple_GetItem(blocks, i), &j.blocks[i]) == 0 &&
             bytes_of(PyTuple_GetItem(inputs, i), "inputs", AWM_INPUTS, &j.inputs[i]) == 0 &&
             (block = new_bytes(self->image->block_bytes, &j.next[i])) && PyList_SetItem(out, i, block) == 0;
    }
    ok = ok && run(&j, run_heads, 0) == 0;
    free(pointers);
    Py_XDECREF(contexts);
    Py_XDECREF(blocks);
    Py_XDECREF(inputs);
    if (!ok)
        Py_CLEAR(out);
    return out;
}

static PyObject *engine_bare(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    Engine *self = (Engine *)object;
    if (arity(nargs, 2) < 0)
        return 0;
    const u32 n = same_length(args, 1);
    const unsigned long what = n ? PyLong_AsUnsignedLong(args[1]) : 0;
    if (!n || PyErr_Occurred())
        return 0;
    PyObject *states = pinned(args[0]);
    void **pointers = calloc(n, sizeof *pointers);
    int ok = states && (pointers || PyErr_NoMemory());
    u32 claimed = 0;
    for (u32 i = 0; ok && i < n; i++) {
        State *state = as_state(self, PyTuple_GetItem(states, i));
        ok = state && claim(state) == 0;
        if (ok) {
            claimed = i + 1;
            pointers[i] = state->bytes;
        }
    }
    u64 nanoseconds = 0; /* CPU time of this thread, so that other processes do not matter */
    job j = {.self = self, .sessions = n, .states = pointers, .what = (u32)what};
    ok = ok && run(&j, run_bare, &nanoseconds) == 0;
    for (u32 i = 0; i < claimed; i++)
        ((State *)PyTuple_GetItem(states, i))->busy = 0;
    free(pointers);
    Py_XDECREF(states);
    return ok ? PyLong_FromUnsignedLongLong(nanoseconds) : 0;
}

static PyObject *engine_zero(PyObject *object, PyObject *unused)
{
    (void)unused;
    return (PyObject *)state_new(((Engine *)object)->image->state_bytes);
}

static PyObject *engine_copy(PyObject *object, PyObject *from)
{
    State *state = as_state((Engine *)object, from);
    State *out = state ? state_new(state->size) : 0;
    if (out)
        memcpy(out->bytes, state->bytes, state->size);
    return (PyObject *)out;
}

static PyObject *engine_dump(PyObject *object, PyObject *from)
{
    Engine *self = (Engine *)object;
    State *state = as_state(self, from);
    u8 *data;
    PyObject *out = state ? new_bytes(self->image->dump_bytes, &data) : 0;
    if (out)
        awm_state_dump(self->image, state->bytes, data);
    return out;
}

/* The state in the kernel's own layout, which is the same on every path. */
static PyObject *engine_raw(PyObject *object, PyObject *from)
{
    State *state = as_state((Engine *)object, from);
    return state ? PyBytes_FromStringAndSize((const char *)state->bytes, state->size) : 0;
}

static PyObject *engine_load(PyObject *object, PyObject *from)
{
    Engine *self = (Engine *)object;
    const u8 *data;
    if (bytes_of(from, "recurrent state", self->image->dump_bytes, &data) < 0)
        return 0;
    State *out = state_new(self->image->state_bytes);
    if (out)
        awm_state_load(self->image, out->bytes, data);
    return (PyObject *)out;
}

static PyObject *engine_image(PyObject *object, PyObject *unused)
{
    (void)unused;
    const awm_image *image = ((Engine *)object)->image;
    return PyBytes_FromStringAndSize((const char *)image, image->bytes);
}

static PyObject *engine_sizes(PyObject *object, PyObject *unused)
{
    (void)unused;
    const Engine *self = (Engine *)object;
    const awm_image *im = self->image;
    return Py_BuildValue("{s:I,s:I,s:I,s:K,s:K,s:n}", "image", im->bytes, "state", im->state_bytes, "serialized",
                         im->dump_bytes, "scratch", (unsigned long long)awm_scratch_bytes(im, 1), "scratch_next",
                         (unsigned long long)(awm_scratch_bytes(im, 2) - awm_scratch_bytes(im, 1)), "context",
                         context_size(self));
}

static PyObject *engine_path(PyObject *object, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(((Engine *)object)->path->name);
}

static PyMethodDef engine_methods[] = {
    {"backbone", (PyCFunction)(void (*)(void))engine_backbone, METH_FASTCALL, "backbone(state, block) -> context"},
    {"heads", (PyCFunction)(void (*)(void))engine_heads, METH_FASTCALL, "heads(context, block, inputs) -> block"},
    {"backbone_batch", (PyCFunction)(void (*)(void))engine_backbone_batch, METH_FASTCALL, "lists of states, blocks -> contexts"},
    {"heads_batch", (PyCFunction)(void (*)(void))engine_heads_batch, METH_FASTCALL, "lists of contexts, blocks, inputs -> blocks"},
    {"bare", (PyCFunction)(void (*)(void))engine_bare, METH_FASTCALL, "bare(states, what) -> nanoseconds"},
    {"zero_state", engine_zero, METH_NOARGS, "a state of zeros"},
    {"copy", engine_copy, METH_O, "an independent copy of a state"},
    {"dump", engine_dump, METH_O, "the serialized state"},
    {"load", engine_load, METH_O, "the state that dump wrote"},
    {"raw", engine_raw, METH_O, "a state's bytes in the kernel's layout"},
    {"image", engine_image, METH_NOARGS, "the repacked cartridge, position-independent"},
    {"sizes", engine_sizes, METH_NOARGS, "bytes of image, state, scratch, context"},
    {0, 0, 0, 0},
};
static PyGetSetDef engine_getset[] = {{"path", engine_path, 0, "name of the path that runs", 0}, {0, 0, 0, 0, 0}};
static PyType_Slot engine_slots[] = {
    {Py_tp_new, engine_new}, {Py_tp_dealloc, engine_dealloc}, {Py_tp_methods, engine_methods},
    {Py_tp_getset, engine_getset}, {0, 0},
};
static PyType_Spec engine_spec = {"awm_crank.engine._native.Engine", sizeof(Engine), 0, Py_TPFLAGS_DEFAULT, engine_slots};
static PyType_Slot state_slots[] = {{Py_tp_dealloc, state_dealloc}, {0, 0}};
static PyType_Spec state_spec = {"awm_crank.engine._native.State", sizeof(State), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, state_slots};

static PyObject *paths(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *out = PyDict_New();
    for (u32 i = 0; out && i < awm_path_count; i++) {
        PyObject *missing = PyUnicode_FromString(awm_missing(&awm_paths[i]));
        if (!missing || PyDict_SetItemString(out, awm_paths[i].name, missing) < 0)
            Py_CLEAR(out);
        Py_XDECREF(missing);
    }
    return out;
}

static PyObject *forced_path(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    const char *name = getenv("AWM_ENGINE_PATH");
    return PyUnicode_FromString(name ? name : "");
}

/* The bytes of argument `at`, which must hold `count` values of `width` bytes, aligned for them. */
static const void *values(PyObject *const *args, int at, Py_ssize_t count, Py_ssize_t width)
{
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(args[at], &data, &size) < 0)
        return 0;
    if (size != count * width || (size_t)data % (size_t)width) {
        PyErr_Format(PyExc_ValueError, "argument %d: expected %zd bytes, found %zd", at, count * width, size);
        return 0;
    }
    return data;
}

static PyObject *policy_layer(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    (void)self;
    if (n != 5) {
        PyErr_SetString(PyExc_TypeError, "policy_layer(weights, multipliers, biases, inputs, shift)");
        return 0;
    }
    const long shift = PyLong_AsLong(args[4]);
    if (shift == -1 && PyErr_Occurred())
        return 0;
    const Py_ssize_t rows = PyBytes_Size(args[1]) / 4, columns = PyBytes_Size(args[3]) / 2;
    if (PyErr_Occurred())
        return 0;
    if (shift < 1 || shift > 60 || rows > 4096 || columns > 65536) {
        PyErr_SetString(PyExc_ValueError, "shift 1..60, at most 4096 rows and 65536 columns");
        return 0;
    }
    const i8 *w = values(args, 0, rows * columns, 1);
    const i32 *mul = w ? values(args, 1, rows, 4) : 0, *b = mul ? values(args, 2, rows, 4) : 0;
    const i16 *x = b ? values(args, 3, columns, 2) : 0;
    if (!x)
        return 0;
    for (Py_ssize_t r = 0; r < rows; r++)
        if (mul[r] < 0 || mul[r] > 1 << 22) {
            PyErr_Format(PyExc_ValueError, "multiplier %zd is not within 0..2^22", r);
            return 0;
        }
    PyObject *out = PyBytes_FromStringAndSize(0, 8 * rows);
    if (out)
        policy_layer_run(w, mul, b, x, (size_t)rows, (size_t)columns, (int)shift, (i64 *)(void *)PyBytes_AsString(out));
    return out;
}

static PyMethodDef module_methods[] = {
    {"policy_layer", (PyCFunction)(void (*)(void))policy_layer, METH_FASTCALL,
     "policy_layer(weights, multipliers, biases, inputs, shift) -> outputs (int64)"},
    {"paths", paths, METH_NOARGS, "name -> what this machine lacks for it ('' = it runs), best last"},
    {"forced_path", forced_path, METH_NOARGS, "AWM_ENGINE_PATH, or ''"},
    {0, 0, 0, 0},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", "The native engine.", -1, module_methods, 0, 0, 0, 0};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *m = PyModule_Create(&module);
    if (!m)
        return 0;
    engine_type = (PyTypeObject *)PyType_FromSpec(&engine_spec);
    state_type = (PyTypeObject *)PyType_FromSpec(&state_spec);
    if (!engine_type || !state_type || PyModule_AddObjectRef(m, "Engine", (PyObject *)engine_type) < 0 ||
        PyModule_AddObjectRef(m, "State", (PyObject *)state_type) < 0)
        Py_CLEAR(m);
    return m;
}
