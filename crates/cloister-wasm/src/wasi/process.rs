//! Arguments, environment, and the end of the program.

use super::memory::field;
use super::{Call, Done, Errno, Stop};

impl Call<'_> {
    pub(super) fn args_get(&mut self, pointers: u32, buffer: u32) -> Done {
        self.strings(Strings::Args, pointers, buffer)
    }

    pub(super) fn args_sizes_get(&mut self, count: u32, size: u32) -> Done {
        self.sizes(Strings::Args, count, size)
    }

    pub(super) fn environ_get(&mut self, pointers: u32, buffer: u32) -> Done {
        self.strings(Strings::Env, pointers, buffer)
    }

    pub(super) fn environ_sizes_get(&mut self, count: u32, size: u32) -> Done {
        self.sizes(Strings::Env, count, size)
    }

    fn strings(&mut self, which: Strings, pointers: u32, buffer: u32) -> Done {
        let (mut pointer, mut at) = (pointers, buffer);
        let strings = which.of(&self.wasi.args, &self.wasi.env);
        for string in strings {
            self.memory.put_u32(pointer, at)?;
            self.memory.put(at, string)?;
            let end = field(at, u32::try_from(string.len()).map_err(|_| Errno::Overflow)?)?;
            self.memory.put(end, &[0])?;
            (pointer, at) = (field(pointer, 4)?, field(end, 1)?);
        }
        Ok(())
    }

    fn sizes(&mut self, which: Strings, count: u32, size: u32) -> Done {
        let strings = which.of(&self.wasi.args, &self.wasi.env);
        let bytes: usize = strings.iter().map(|string| string.len() + 1).sum();
        self.memory.put_u32(count, u32::try_from(strings.len()).map_err(|_| Errno::Overflow)?)?;
        Ok(self.memory.put_u32(size, u32::try_from(bytes).map_err(|_| Errno::Overflow)?)?)
    }

    pub(super) fn proc_exit(&mut self, code: u32) -> Done {
        Err(Stop::Exit(code).into())
    }

    /// There are no signals.
    pub(super) fn proc_raise(&mut self, _signal: u32) -> Done {
        Err(Errno::Notsup.into())
    }

    /// There is one thread.
    pub(super) fn sched_yield(&mut self) -> Done {
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Strings {
    Args,
    Env,
}

impl Strings {
    fn of<'s>(self, args: &'s [Vec<u8>], env: &'s [Vec<u8>]) -> &'s [Vec<u8>] {
        match self {
            Self::Args => args,
            Self::Env => env,
        }
    }
}
