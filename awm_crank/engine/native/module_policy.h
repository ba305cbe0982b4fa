/* policy_layer: one layer of a policy cartridge, with its arguments checked. */

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
