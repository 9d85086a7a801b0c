//! Sockets: there are none, and no descriptor is one.

use super::{Call, Done, Errno};

impl Call<'_> {
    fn no_socket(&self, fd: u32) -> Done {
        self.wasi.view.target(fd)?;
        Err(Errno::Notsock.into())
    }

    pub(super) fn sock_accept(&mut self, fd: u32, _flags: u32, _out: u32) -> Done {
        self.no_socket(fd)
    }

    pub(super) fn sock_recv(
        &mut self,
        fd: u32,
        _vectors: u32,
        _count: u32,
        _flags: u32,
        _out: u32,
        _out_flags: u32,
    ) -> Done {
        self.no_socket(fd)
    }

    pub(super) fn sock_send(&mut self, fd: u32, _vectors: u32, _count: u32, _flags: u32, _out: u32) -> Done {
        self.no_socket(fd)
    }

    pub(super) fn sock_shutdown(&mut self, fd: u32, _how: u32) -> Done {
        self.no_socket(fd)
    }
}
