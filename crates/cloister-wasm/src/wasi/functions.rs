//! The one list of functions: what a linker defines, what the tests enumerate, and what a guest can call at all.

use super::{Call, Done, Fault, Host, Stop, Wasi};

/// A type of WebAssembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// 32 bits.
    I32,
    /// 64 bits.
    I64,
}

/// One function of the list.
#[derive(Clone, Copy)]
pub struct Function {
    /// Its name in [`super::MODULE`].
    pub name: &'static str,
    /// Its parameters.
    pub parameters: &'static [Value],
    /// Its results.
    pub results: &'static [Value],
    /// Calls it with one value for each parameter, of which a 32-bit one uses the lower half. A function without a result gives 0.
    pub call: Dispatch,
}

/// Calls a function on a session, its host, its memory and the values of its parameters.
pub type Dispatch = fn(&mut Wasi, &mut dyn Host, &mut [u8], &[u64]) -> Result<i32, Stop>;

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?} -> {:?}", self.name, self.parameters, self.results)
    }
}

/// Gives the list to a macro: `fn name(argument: i32, …) -> i32;` for each, where the result is an error number, or `()`.
///
/// An engine defines its imports with it, one typed closure around [`calls`] each:
///
/// ```
/// macro_rules! names {
///     ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => { [$(stringify!($name)),*] };
/// }
/// let names = cloister_wasm::wasi_functions!(names);
/// assert!(names.contains(&"path_open"));
/// ```
#[macro_export]
macro_rules! wasi_functions {
    ($callback:ident) => {
        $callback! {
            fn args_get(pointers: i32, buffer: i32) -> i32;
            fn args_sizes_get(count: i32, size: i32) -> i32;
            fn environ_get(pointers: i32, buffer: i32) -> i32;
            fn environ_sizes_get(count: i32, size: i32) -> i32;
            fn clock_res_get(clock: i32, out: i32) -> i32;
            fn clock_time_get(clock: i32, precision: i64, out: i32) -> i32;
            fn fd_advise(fd: i32, offset: i64, length: i64, advice: i32) -> i32;
            fn fd_allocate(fd: i32, offset: i64, length: i64) -> i32;
            fn fd_close(fd: i32) -> i32;
            fn fd_datasync(fd: i32) -> i32;
            fn fd_fdstat_get(fd: i32, out: i32) -> i32;
            fn fd_fdstat_set_flags(fd: i32, flags: i32) -> i32;
            fn fd_fdstat_set_rights(fd: i32, rights: i64, inheriting: i64) -> i32;
            fn fd_filestat_get(fd: i32, out: i32) -> i32;
            fn fd_filestat_set_size(fd: i32, size: i64) -> i32;
            fn fd_filestat_set_times(fd: i32, accessed: i64, modified: i64, which: i32) -> i32;
            fn fd_pread(fd: i32, vectors: i32, count: i32, offset: i64, out: i32) -> i32;
            fn fd_prestat_get(fd: i32, out: i32) -> i32;
            fn fd_prestat_dir_name(fd: i32, buffer: i32, length: i32) -> i32;
            fn fd_pwrite(fd: i32, vectors: i32, count: i32, offset: i64, out: i32) -> i32;
            fn fd_read(fd: i32, vectors: i32, count: i32, out: i32) -> i32;
            fn fd_readdir(fd: i32, buffer: i32, length: i32, cookie: i64, out: i32) -> i32;
            fn fd_renumber(from: i32, to: i32) -> i32;
            fn fd_seek(fd: i32, offset: i64, whence: i32, out: i32) -> i32;
            fn fd_sync(fd: i32) -> i32;
            fn fd_tell(fd: i32, out: i32) -> i32;
            fn fd_write(fd: i32, vectors: i32, count: i32, out: i32) -> i32;
            fn path_create_directory(fd: i32, path: i32, length: i32) -> i32;
            fn path_filestat_get(fd: i32, lookup: i32, path: i32, length: i32, out: i32) -> i32;
            fn path_filestat_set_times(
                fd: i32, lookup: i32, path: i32, length: i32, accessed: i64, modified: i64, which: i32
            ) -> i32;
            fn path_link(
                old_fd: i32, lookup: i32, old: i32, old_length: i32, new_fd: i32, new: i32, new_length: i32
            ) -> i32;
            fn path_open(
                fd: i32, lookup: i32, path: i32, length: i32, how: i32, rights: i64, inheriting: i64, flags: i32,
                out: i32
            ) -> i32;
            fn path_readlink(fd: i32, path: i32, length: i32, buffer: i32, size: i32, out: i32) -> i32;
            fn path_remove_directory(fd: i32, path: i32, length: i32) -> i32;
            fn path_rename(
                old_fd: i32, old: i32, old_length: i32, new_fd: i32, new: i32, new_length: i32
            ) -> i32;
            fn path_symlink(target: i32, target_length: i32, fd: i32, path: i32, length: i32) -> i32;
            fn path_unlink_file(fd: i32, path: i32, length: i32) -> i32;
            fn poll_oneoff(subscriptions: i32, events: i32, count: i32, out: i32) -> i32;
            fn proc_exit(code: i32) -> ();
            fn proc_raise(signal: i32) -> i32;
            fn random_get(buffer: i32, length: i32) -> i32;
            fn sched_yield() -> i32;
            fn sock_accept(fd: i32, flags: i32, out: i32) -> i32;
            fn sock_recv(fd: i32, vectors: i32, count: i32, flags: i32, out: i32, out_flags: i32) -> i32;
            fn sock_send(fd: i32, vectors: i32, count: i32, flags: i32, out: i32) -> i32;
            fn sock_shutdown(fd: i32, how: i32) -> i32;
        }
    };
}

/// What a function gives to the guest.
trait Answer: Sized {
    const TYPES: &'static [Value];
    fn answer(done: Done) -> Result<Self, Stop>;
    fn number(self) -> i32;
}

impl Answer for i32 {
    const TYPES: &'static [Value] = &[Value::I32];
    fn answer(done: Done) -> Result<Self, Stop> {
        match done {
            Ok(()) => Ok(0),
            Err(Fault::Errno(errno)) => Ok(Self::from(errno.number())),
            Err(Fault::Stop(stop)) => Err(stop),
        }
    }
    fn number(self) -> i32 {
        self
    }
}

impl Answer for () {
    const TYPES: &'static [Value] = &[];
    fn answer(done: Done) -> Result<Self, Stop> {
        match done {
            Err(Fault::Stop(stop)) => Err(stop),
            Ok(()) | Err(Fault::Errno(_)) => Ok(()),
        }
    }
    fn number(self) -> i32 {
        0
    }
}

trait Parameter {
    const TYPE: Value;
}

impl Parameter for i32 {
    const TYPE: Value = Value::I32;
}

impl Parameter for i64 {
    const TYPE: Value = Value::I64;
}

macro_rules! define {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        /// The functions, typed as WebAssembly has them. Each gives the error number that the guest gets, 0 for success.
        pub mod calls {
            use super::{Answer, Call, Host, Stop, Wasi};

            $(
                #[doc = concat!("`", stringify!($name), "` of preview 1.")]
                #[allow(clippy::too_many_arguments, reason = "the standard's signatures")]
                pub fn $name(
                    wasi: &mut Wasi,
                    host: &mut dyn Host,
                    memory: &mut [u8],
                    $($argument: $type),*
                ) -> Result<$result, Stop> {
                    let mut call = Call::begin(wasi, host, memory)?;
                    <$result as Answer>::answer(call.$name($($argument.cast_unsigned()),*))
                }
            )*
        }

        /// All functions, in the order of the standard.
        pub const FUNCTIONS: &[Function] = &[$(
            Function {
                name: stringify!($name),
                parameters: &[$(<$type as Parameter>::TYPE),*],
                results: <$result as Answer>::TYPES,
                call: |wasi, host, memory, values| {
                    let &[$($argument),*] = values else { return Err(Stop::Arguments) };
                    calls::$name(wasi, host, memory, $($argument as $type),*).map(Answer::number)
                },
            }
        ),*];
    };
}

wasi_functions!(define);
