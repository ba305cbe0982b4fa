/* The calls that run the kernel: backbone and heads, for one session and for many, and their bare loops. */

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
