package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// file is a file that has to be on the host.
type file struct {
	path    string
	content []byte
	mode    fs.FileMode
}

// put writes the file atomically where it differs, and reports whether it had to.
func (f file) put() (bool, error) {
	if f.isThere() {
		return false, nil
	}
	folder := filepath.Dir(f.path)
	temporary, err := os.CreateTemp(folder, "."+filepath.Base(f.path)+".*")
	if err != nil {
		return false, fmt.Errorf("writing %s: %w", f.path, err)
	}
	_, err = temporary.Write(f.content)
	// Chmod, since the umask may take bits away.
	err = errors.Join(err, temporary.Chmod(f.mode), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), f.path)
	}
	if err != nil {
		return false, errors.Join(fmt.Errorf("writing %s: %w", f.path, err), os.Remove(temporary.Name()))
	}
	opened, err := os.Open(folder)
	if err != nil {
		return true, fmt.Errorf("syncing %s: %w", f.path, err)
	}
	return true, errors.Join(opened.Sync(), opened.Close()) // makes the rename durable
}

// isThere compares the file on the host. A link or a device never counts; the rename replaces it
// and does not follow it.
func (f file) isThere() bool {
	info, err := os.Lstat(f.path)
	if err != nil || info.Mode() != f.mode || info.Size() != int64(len(f.content)) {
		return false
	}
	found, err := os.ReadFile(f.path)
	return err == nil && bytes.Equal(found, f.content)
}
