//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Names of the images, all made here.
const (
	repository = "example.test/sullae"
	pauseImage = "example.test/pause:1"
	etcdImage  = "example.test/etcd"
	first      = "first"  // tags of two builds, that differ in their commit
	second     = "second" //
)

// compile makes the programs that go into images, outside of the namespaces.
func compile(repo, work string) error {
	build := func(out, pkg, ldflags string) error {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "nocuda", "-ldflags", "-s -w "+ldflags, "-o", filepath.Join(work, out), pkg)
		cmd.Dir, cmd.Env = repo, append(os.Environ(), "CGO_ENABLED=0")
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		return cmd.Run()
	}
	for _, tag := range []string{first, second} {
		if err := build("images/"+tag+"/bin/sullae", "./cmd/sullae", "-X main.commit="+tag); err != nil {
			return err
		}
	}
	return build("images/pause/pause", "./deploy/kubetest/pause", "")
}

// images builds every image by buildah and gives them to containerd.
func (c *cluster) images(ctx context.Context, repo string) error {
	dockerfile := filepath.Join(repo, "deploy/docker/Dockerfile")
	etcd := filepath.Join(c.work, "images/etcd")
	if err := os.MkdirAll(etcd, 0o755); err != nil {
		return err
	}
	if _, err := c.run(ctx, "cp", filepath.Join(c.bin, "etcd"), etcd); err != nil {
		return err
	}
	// Stand-ins for what comes from registries elsewhere; etcd is where upstream's
	// image has it.
	c.file("images/etcd/Dockerfile", "FROM scratch\nCOPY etcd /usr/local/bin/etcd\nCMD [\"/usr/local/bin/etcd\"]\n")
	c.file("images/pause/Dockerfile", "FROM scratch\nCOPY pause /pause\nENTRYPOINT [\"/pause\"]\n")
	for _, i := range []struct{ name, dockerfile, folder string }{
		{repository + ":" + first, dockerfile, "images/" + first},
		{repository + ":" + second, dockerfile, "images/" + second},
		{etcdImage + ":test", filepath.Join(etcd, "Dockerfile"), "images/etcd"},
		{pauseImage, filepath.Join(c.work, "images/pause/Dockerfile"), "images/pause"},
	} {
		folder := filepath.Join(c.work, i.folder)
		if i.dockerfile == dockerfile {
			if _, err := c.run(ctx, "cp", "/etc/ssl/certs/ca-certificates.crt", filepath.Join(folder, "bin")); err != nil {
				return err
			}
		}
		archive := folder + ".tar"
		id, err := c.build(ctx, i.name, i.dockerfile, folder, archive)
		if err != nil {
			return err
		}
		if again, err := c.build(ctx, i.name, i.dockerfile, folder, ""); err != nil || again != id {
			return fmt.Errorf("image %s: built twice it is %s and %s: %w", i.name, id, again, err)
		}
		say("image %s: %s, twice", i.name, id[:12])
		if _, err := c.run(ctx, "ctr", "-n", "k8s.io", "images", "import", archive); err != nil {
			return err
		}
		os.Remove(archive)
	}
	return nil
}

// build makes one image with buildah, and an archive of it where one is named. It
// returns the image's id: the hash of its configuration, which names its layers.
func (c *cluster) build(ctx context.Context, name, dockerfile, folder, archive string) (id string, err error) {
	storage := []string{"--root", filepath.Join(c.work, "buildah"), "--runroot", "/run/buildah", "--storage-driver", "vfs"}
	out, err := c.run(ctx, "buildah", append(storage, "bud", "--isolation", "chroot", "--timestamp", "0", "--no-cache", "--quiet", "-f", dockerfile, "-t", name, folder)...)
	if err != nil {
		return "", err
	}
	id = strings.TrimSpace(out)
	if id = id[max(0, len(id)-64):]; len(id) != 64 {
		return "", fmt.Errorf("buildah says %q", out)
	}
	if archive != "" {
		_, err = c.run(ctx, "buildah", append(storage, "push", "--quiet", name, fmt.Sprintf("docker-archive:%s:%s", archive, name))...)
	}
	return id, err
}
