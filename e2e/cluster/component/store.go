package component

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/mod/modfile"

	"spidernet.io/spiderpool/e2e/cluster/filelock"
)

// cacheVariable moves the cache, for machines whose home is small or shared.
const cacheVariable = "SPIDERPOOL_CACHE"

// Store builds components and caches them.
type Store struct {
	Cache   string    // where builds are kept
	Modules string    // the folder that holds the components' modules
	Out     io.Writer // progress, for the user
}

// Default returns the store of the work tree around the current directory, with progress on
// standard error.
func Default() (*Store, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	tree, err := Tree()
	if err != nil {
		return nil, err
	}
	return &Store{Cache: cache, Modules: filepath.Join(tree, "e2e", "cluster", "component"), Out: os.Stderr}, nil
}

// Path returns the file of a program, such as "kubectl", built if it has to be.
func Path(ctx context.Context, program string) (string, error) {
	store, err := Default()
	if err != nil {
		return "", err
	}
	return store.Path(ctx, program)
}

// CacheDir returns the folder outside the work tree for what is expensive to build.
func CacheDir() (string, error) {
	if dir := os.Getenv(cacheVariable); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a cache folder: %w; set $%s", err, cacheVariable)
	}
	return filepath.Join(dir, "spiderpool"), nil
}

// Tree returns the top of the work tree around the current directory.
func Tree() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the work tree: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && modfile.ModulePath(data) == "spidernet.io/spiderpool" {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding the work tree: no folder from %s upwards holds the module spidernet.io/spiderpool", start)
		}
	}
}

// Path returns the file of a program, such as "kubectl", built if it has to be.
func (s *Store) Path(ctx context.Context, program string) (string, error) {
	c, err := byProgram(program)
	if err != nil {
		return "", err
	}
	dir, err := s.Dir(ctx, c.name)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, program), nil
}

// Dir returns the folder with a component's programs, built if it has to be.
func (s *Store) Dir(ctx context.Context, name string) (string, error) {
	c, err := byName(name)
	if err != nil {
		return "", err
	}
	return s.dir(ctx, c)
}

func (s *Store) dir(ctx context.Context, c component) (string, error) {
	build, err := s.plan(c)
	if err != nil {
		return "", fmt.Errorf("building %s: %w", c.name, err)
	}
	if build.done() {
		return build.bin(), nil
	}
	if err := s.buildOnce(ctx, build); err != nil {
		return "", fmt.Errorf("building %s: %w", c.name, err)
	}
	return build.bin(), nil
}

// buildOnce builds under a lock, unless another caller has done it meanwhile.
func (s *Store) buildOnce(ctx context.Context, b build) error {
	if err := os.MkdirAll(filepath.Dir(b.dir), 0o755); err != nil {
		return err
	}
	unlock, err := filelock.Take(ctx, filepath.Join(s.Cache, b.name, "lock"), func() {
		fmt.Fprintf(s.Out, "waiting for another build of %s\n", b.name)
	})
	if err != nil {
		return err
	}
	defer unlock()
	if b.done() {
		return nil
	}
	return s.run(ctx, b)
}

// build is one component at one version, ready to be built.
type build struct {
	component
	version string
	source  string // the module's folder
	dir     string // its final place in the cache
}

func (b build) bin() string { return filepath.Join(b.dir, "bin") }

func (b build) done() bool {
	_, err := os.Stat(b.bin())
	return err == nil
}

func (s *Store) plan(c component) (build, error) {
	source := filepath.Join(s.Modules, c.name)
	version, err := pinnedVersion(filepath.Join(source, "go.mod"), c.module)
	if err != nil {
		return build{}, err
	}
	b := build{component: c, version: version, source: source}
	hash, err := b.hash()
	if err != nil {
		return build{}, err
	}
	b.dir = filepath.Join(s.Cache, c.name, version+"-"+hash)
	return b, nil
}

// pinnedVersion reads which version of a module a go.mod file requires.
func pinnedVersion(file, module string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	mod, err := modfile.Parse(file, data, nil)
	if err != nil {
		return "", err
	}
	for _, r := range mod.Require {
		if r.Mod.Path == module {
			return r.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("%s requires no %s", file, module)
}

// hash returns a hash of everything that determines the result of the build.
func (b build) hash() (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s/%s %q\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, slices.Concat(b.env(), b.args("")))
	err := filepath.WalkDir(b.source, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(b.source, path)
		fmt.Fprintf(sum, "%s %d\n", name, len(data))
		sum.Write(data)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the module %s: %w", b.source, err)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12], err
}
