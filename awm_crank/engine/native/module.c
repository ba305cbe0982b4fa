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
#include "module_objects.h"
#include "module_calls.h"
#include "module_policy.h"

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
