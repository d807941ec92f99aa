package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// replace makes path a file of the given content and mode, whole or not at all,
// and tells whether it had to be written.
func replace(path string, content []byte, mode fs.FileMode) (bool, error) {
	same, err := isSame(path, content, mode)
	if err != nil || same {
		return false, err
	}
	folder := filepath.Dir(path)
	temporary, err := os.CreateTemp(folder, "."+filepath.Base(path)+".*")
	if err != nil {
		return false, fmt.Errorf("writing %s: %w", path, err)
	}
	if err := fill(temporary, content, mode); err != nil {
		return false, errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(temporary.Name()))
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return false, errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(temporary.Name()))
	}
	return true, syncFolder(folder)
}

func isSame(path string, content []byte, mode fs.FileMode) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("comparing %s: %w", path, err)
	}
	// A link or a device is replaced, not followed: a rename does just that.
	if info.Mode() != mode || info.Size() != int64(len(content)) {
		return false, nil
	}
	found, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("comparing %s: %w", path, err)
	}
	return bytes.Equal(found, content), nil
}

// fill writes, syncs and closes file. Chmod, since the umask is not ours.
func fill(file *os.File, content []byte, mode fs.FileMode) error {
	_, err := file.Write(content)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncFolder makes a rename in folder durable.
func syncFolder(folder string) error {
	opened, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("syncing folder %s: %w", folder, err)
	}
	if err := errors.Join(opened.Sync(), opened.Close()); err != nil {
		return fmt.Errorf("syncing folder %s: %w", folder, err)
	}
	return nil
}
