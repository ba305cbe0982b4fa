/* The objects Engine and State of the Python binding, and the checks of arguments that every method shares. */

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
