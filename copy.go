package sysctl

import (
	"io/fs"
	"time"
)

// CopyOptions says how files go into a guest's tree or out of it.
type CopyOptions struct {
	UID, GID  int          // owner inside the guest of what is put there
	Mode      *fs.FileMode // of files that are put or got; nil: the source's
	Recursive bool         // directories too; symbolic links stay links, hard links stay together, times are kept
	Keep      bool         // owner, mode and user's attributes are those of the file that is replaced
	Progress  Progress
	Note      func(line string) // told what is left out; nil: nobody is
}

// File is one entry of a guest's directory, as the guest sees it.
type File struct {
	Name     string    `json:"name"`
	Type     string    `json:"type"` // file, directory, symlink, fifo, socket, block, char
	Mode     string    `json:"mode"` // octal, four digits
	UID      int64     `json:"uid"`
	GID      int64     `json:"gid"`
	Size     int64     `json:"size"` // bytes
	Modified time.Time `json:"modified_at"`
	Target   string    `json:"target,omitempty"` // of a symbolic link
}
