//! The flags of WASI preview 1, as far as they mean something here.

use std::ops::{BitAnd, BitOr};

macro_rules! flags {
    ($(#[$doc:meta])* $name:ident($bits:ty) { $($(#[$item:meta])* $flag:ident = $bit:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name(pub $bits);

        impl $name {
            $($(#[$item])* pub const $flag: Self = Self($bit);)*

            /// Whether all of these are set.
            pub fn has(self, flags: Self) -> bool {
                self.0 & flags.0 == flags.0
            }
        }

        impl BitOr for $name {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl BitAnd for $name {
            type Output = Self;
            fn bitand(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
        }
    };
}

flags! {
    /// How `path_open` opens.
    OpenFlags(u16) {
        /// Make the file if there is none.
        CREATE = 1;
        /// Only a directory.
        DIRECTORY = 2;
        /// Only a new file.
        EXCLUSIVE = 4;
        /// Empty the file.
        TRUNCATE = 8;
    }
}

flags! {
    /// State of a descriptor.
    FdFlags(u16) {
        /// Every write goes to the end.
        APPEND = 1;
        /// All there are: the others promise what memory keeps anyway.
        ALL = 31;
    }
}

flags! {
    /// Which times to set.
    SetTimes(u16) {
        /// That of access, to a value.
        ACCESSED = 1;
        /// That of access, to now.
        ACCESSED_NOW = 2;
        /// That of modification, to a value.
        MODIFIED = 4;
        /// That of modification, to now.
        MODIFIED_NOW = 8;
    }
}

flags! {
    /// What a descriptor may be used for.
    Rights(u64) {
        /// `fd_datasync`.
        DATASYNC = 1;
        /// `fd_read`, `fd_pread`.
        READ = 1 << 1;
        /// `fd_seek`.
        SEEK = 1 << 2;
        /// `fd_fdstat_set_flags`.
        SET_FLAGS = 1 << 3;
        /// `fd_sync`.
        SYNC = 1 << 4;
        /// `fd_tell`.
        TELL = 1 << 5;
        /// `fd_write`, `fd_pwrite`.
        WRITE = 1 << 6;
        /// `fd_advise`.
        ADVISE = 1 << 7;
        /// `fd_allocate`.
        ALLOCATE = 1 << 8;
        /// `path_create_directory`.
        CREATE_DIRECTORY = 1 << 9;
        /// `path_open` with `CREATE`.
        CREATE_FILE = 1 << 10;
        /// `path_link`, the existing file's directory.
        LINK_SOURCE = 1 << 11;
        /// `path_link`, the new name's directory.
        LINK_TARGET = 1 << 12;
        /// `path_open`.
        OPEN = 1 << 13;
        /// `fd_readdir`.
        READDIR = 1 << 14;
        /// `path_readlink`.
        READLINK = 1 << 15;
        /// `path_rename`, the old name's directory.
        RENAME_SOURCE = 1 << 16;
        /// `path_rename`, the new name's directory.
        RENAME_TARGET = 1 << 17;
        /// `path_filestat_get`.
        PATH_STAT = 1 << 18;
        /// `path_open` with `TRUNCATE`.
        PATH_SET_SIZE = 1 << 19;
        /// `path_filestat_set_times`.
        PATH_SET_TIMES = 1 << 20;
        /// `fd_filestat_get`.
        STAT = 1 << 21;
        /// `fd_filestat_set_size`.
        SET_SIZE = 1 << 22;
        /// `fd_filestat_set_times`.
        SET_TIMES = 1 << 23;
        /// `path_symlink`.
        SYMLINK = 1 << 24;
        /// `path_remove_directory`.
        REMOVE_DIRECTORY = 1 << 25;
        /// `path_unlink_file`.
        UNLINK = 1 << 26;
        /// `poll_oneoff`.
        POLL = 1 << 27;
        /// All that a file can have.
        FILE = 0x08e0_01ff;
        /// All that a directory can have.
        OF_DIRECTORY = 0x0fbf_fe98;
        /// All that opening a file for writing asks for, any of it.
        ANY_WRITE = Self::WRITE.0 | Self::ALLOCATE.0 | Self::SET_SIZE.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_of_rights_hold_what_their_kinds_of_file_can_do() {
        for right in [Rights::READ, Rights::WRITE, Rights::SEEK, Rights::TELL, Rights::STAT, Rights::SET_SIZE]
        {
            assert!(Rights::FILE.has(right), "{right:?}");
        }
        for right in [Rights::READ, Rights::WRITE, Rights::SEEK, Rights::TELL, Rights::SET_SIZE] {
            assert!(!Rights::OF_DIRECTORY.has(right), "{right:?}");
        }
        for bit in 9..=20 {
            assert!(Rights::OF_DIRECTORY.has(Rights(1 << bit)), "{bit}");
        }
        for right in
            [Rights::STAT, Rights::SET_TIMES, Rights::SYMLINK, Rights::REMOVE_DIRECTORY, Rights::UNLINK]
        {
            assert!(Rights::OF_DIRECTORY.has(right), "{right:?}");
        }
    }
}
