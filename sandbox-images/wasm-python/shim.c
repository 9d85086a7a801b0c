/* The whole interface between the host and the interpreter: what the host calls, and the two functions that it gives.
 *
 *     host ── k_init, k_warm ──▶ (snapshot of memory) ── k_reseed, k_run ──▶ _cloister.kernel (Python)
 *     host ◀── emit (streams), event (frames of the cell channel) ────────── _cloister_host (Python module, here)
 *
 * Pointers are addresses in linear memory, lengths are bytes. The host places bytes with k_alloc and takes them away with
 * k_free; no function here keeps an argument after it has returned. README.md has the sequence of calls.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "internal/pycore_ceval.h"
#include "internal/pycore_pystate.h"
#include "internal/pycore_runtime.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(#name))) name
#define IMPORT(name) __attribute__((import_module("cloister"), import_name(#name)))

/* Status of k_init, k_warm, k_reseed and k_run. */
enum { OK = 0, FAILED = 1 };

/* Bytes of a stream: kind 1 is stdout, 2 is stderr. 0, or the errno that the writer shall see. */
IMPORT(emit) int32_t host_emit(int32_t kind, const void *bytes, uint32_t size);
/* One frame of the cell channel: a JSON object and its blob. 0, or an errno. */
IMPORT(event) int32_t host_event(const void *json, uint32_t json_size, const void *blob, uint32_t blob_size);

static PyObject *warm, *reseed, *run; /* functions of the driver, found once */

static PyObject *answer(int32_t error)
{
    if (error != 0) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

static PyObject *py_emit(PyObject *module, PyObject *args)
{
    int kind;
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "iy*:emit", &kind, &data)) {
        return NULL;
    }
    if (kind != 1 && kind != 2) {
        PyBuffer_Release(&data);
        PyErr_SetString(PyExc_ValueError, "emit: the kind is 1 (stdout) or 2 (stderr)");
        return NULL;
    }
    int32_t error = host_emit(kind, data.buf, (uint32_t)data.len);
    PyBuffer_Release(&data);
    return answer(error);
}

static PyObject *py_event(PyObject *module, PyObject *args)
{
    Py_buffer json, blob;
    if (!PyArg_ParseTuple(args, "y*y*:event", &json, &blob)) {
        return NULL;
    }
    int32_t error = host_event(json.buf, (uint32_t)json.len, blob.buf, (uint32_t)blob.len);
    PyBuffer_Release(&json);
    PyBuffer_Release(&blob);
    return answer(error);
}

static PyMethodDef host_methods[] = {
    {"emit", py_emit, METH_VARARGS, "emit(kind, data): bytes of a stream; 1 is stdout, 2 is stderr."},
    {"event", py_event, METH_VARARGS, "event(json, blob): one frame of the cell channel."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef host_module = {
    PyModuleDef_HEAD_INIT, "_cloister_host", "What the host of this interpreter does for it.", 0, host_methods,
};

static PyObject *make_host_module(void)
{
    return PyModule_Create(&host_module);
}

/* Says on stderr what went wrong in the driver itself; that is never the guest's own exception. */
static int32_t failed(void)
{
    if (PyErr_Occurred()) {
        PyErr_Print();
    }
    return FAILED;
}

static int32_t fail_with(const char *what)
{
    host_emit(2, what, (uint32_t)strlen(what));
    host_emit(2, "\n", 1);
    return FAILED;
}

/* Sets each of the `KEY=VALUE` that NUL bytes separate. Returns the value of PYTHONHASHSEED, or NULL. */
static const char *take_environment(const char *text, uint32_t size)
{
    for (uint32_t start = 0; start < size;) {
        size_t length = strnlen(text + start, size - start);
        char *entry = malloc(length + 1);
        if (entry == NULL) {
            break;
        }
        memcpy(entry, text + start, length);
        entry[length] = 0;
        char *value = strchr(entry, '=');
        if (value != NULL) {
            *value = 0;
            setenv(entry, value + 1, 1);
        }
        free(entry);
        start += length + 1;
    }
    return getenv("PYTHONHASHSEED");
}

static PyStatus configure(PyConfig *config, const char *hash_seed)
{
    static const wchar_t *const path[] = {L"/lib/python", L"/lib/site"};
    PyStatus status;

    config->write_bytecode = 0;
    config->site_import = 0;
    /* Installs Python's handler of SIGINT, which a tripped flag (k_meta) calls; there is no other signal. */
    config->install_signal_handlers = 1;
    config->use_hash_seed = 0;
    if (hash_seed != NULL && strcmp(hash_seed, "random") != 0) {
        config->use_hash_seed = 1;
        config->hash_seed = strtoul(hash_seed, NULL, 10);
    }
    /* Everything that the interpreter would look for in the file system, so that it does not look. */
    config->module_search_paths_set = 1;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(path); i++) {
        status = PyWideStringList_Append(&config->module_search_paths, path[i]);
        if (PyStatus_Exception(status)) {
            return status;
        }
    }
    const struct { wchar_t **where; const wchar_t *what; } names[] = {
        {&config->home, L"/lib/python"}, {&config->prefix, L"/usr"}, {&config->exec_prefix, L"/usr"},
        {&config->base_prefix, L"/usr"}, {&config->base_exec_prefix, L"/usr"}, {&config->stdlib_dir, L"/lib/python"},
        {&config->program_name, L"python3"}, {&config->executable, L""}, {&config->base_executable, L""},
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        status = PyConfig_SetString(config, names[i].where, names[i].what);
        if (PyStatus_Exception(status)) {
            return status;
        }
    }
    return PyStatus_Ok();
}

static PyObject *function_of(PyObject *module, const char *name)
{
    return module != NULL ? PyObject_GetAttrString(module, name) : NULL;
}

/* Loads the driver from its own folder, which is on sys.path only meanwhile. */
static PyObject *load_driver(void)
{
    PyObject *path = PySys_GetObject("path"); /* borrowed */
    PyObject *folder = PyUnicode_FromString("/lib/driver");
    if (path == NULL || folder == NULL || PyList_Insert(path, 0, folder) < 0) {
        return NULL;
    }
    Py_DECREF(folder);
    PyObject *module = PyImport_ImportModule("_cloister.kernel");
    if (module == NULL || PySequence_DelItem(path, 0) < 0) {
        return NULL;
    }
    return module;
}

/* Memory for the host's bytes; 0 if there is none. */
void *EXPORT(k_alloc)(uint32_t size)
{
    return malloc(size ? size : 1);
}

void EXPORT(k_free)(void *pointer)
{
    free(pointer);
}

/* Starts the interpreter and the driver. `environment`: `KEY=VALUE`, separated by NUL bytes. Once, before anything else. */
int32_t EXPORT(k_init)(const char *environment, uint32_t size)
{
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    const char *hash_seed = take_environment(environment, size);
    PyStatus status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status) || PyImport_AppendInittab("_cloister_host", make_host_module) < 0) {
        return fail_with("the interpreter cannot be prepared");
    }
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    status = configure(&config, hash_seed);
    unsetenv("PYTHONHASHSEED");
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        return fail_with(status.err_msg != NULL ? status.err_msg : "the interpreter did not start");
    }
    PyObject *driver = load_driver();
    PyObject *start = function_of(driver, "start");
    PyObject *started = start != NULL ? PyObject_CallNoArgs(start) : NULL;
    if (started == NULL) {
        return failed();
    }
    Py_DECREF(started);
    Py_DECREF(start);
    warm = function_of(driver, "warm");
    reseed = function_of(driver, "reseed");
    run = function_of(driver, "run");
    Py_DECREF(driver);
    return warm != NULL && reseed != NULL && run != NULL ? OK : failed();
}

static int32_t finish(PyObject *result)
{
    if (result == NULL) {
        return failed();
    }
    Py_DECREF(result);
    return OK;
}

/* Imports and rehearses what first cells need. The snapshot of memory is taken after it. */
int32_t EXPORT(k_warm)(void)
{
    return finish(PyObject_CallNoArgs(warm));
}

/* Makes a session of a snapshot: 32 random bytes, then `KEY=VALUE` for its environment, separated by NUL bytes; PWD is the
   working directory, and is entered. */
int32_t EXPORT(k_reseed)(const char *bytes, uint32_t size)
{
    return finish(PyObject_CallFunction(reseed, "y#", bytes, (Py_ssize_t)size));
}

/* Forgets interrupts that no cell has seen: the host may have tripped the flags as the last one ended. */
static void drop_interrupts(void)
{
    _PyRuntime.signals.handlers[SIGINT].tripped = 0;
    _PyRuntime.signals.is_tripped = 0;
    _Py_unset_eval_breaker_bit(_PyRuntime.main_tstate, _PY_SIGNALS_PENDING_BIT);
}

/* Runs one request of the cell channel: its JSON and its blob. The answers are events; the last one is `done`. */
int32_t EXPORT(k_run)(const char *json, uint32_t json_size, const char *blob, uint32_t blob_size)
{
    drop_interrupts();
    int32_t status = finish(PyObject_CallFunction(run, "y#y#", json, (Py_ssize_t)json_size, blob, (Py_ssize_t)blob_size));
    drop_interrupts();
    return status;
}

/* Where an interrupt is written, from outside, while the guest is held in an epoch callback: set the words at [0] and [1] to 1
   and then the bits [3] in the word at [2]. [4] is the number of words. */
void EXPORT(k_meta)(uint32_t *out)
{
    out[0] = (uint32_t)(uintptr_t)&_PyRuntime.signals.handlers[SIGINT].tripped;
    out[1] = (uint32_t)(uintptr_t)&_PyRuntime.signals.is_tripped;
    out[2] = (uint32_t)(uintptr_t)&_PyRuntime.main_tstate->eval_breaker;
    out[3] = _PY_SIGNALS_PENDING_BIT;
    out[4] = 5;
}

/* libbz2 calls this where its own invariants are broken, and does not go on. */
void bz_internal_error(int code)
{
    abort();
}
