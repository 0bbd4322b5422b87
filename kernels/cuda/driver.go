//go:build linux && (amd64 || arm64) && !nocuda

package cuda

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// minDriver is the CUDA version that a driver must speak for our PTX (ISA 8.0).
const minDriver = 12000

// ErrNoDevice is that this machine has no driver or no device to use; the message
// says which.
var ErrNoDevice = errors.New("no CUDA device")

// Error is a driver call that failed. After most of them the device's context is
// lost, and with it everything in its memory.
type Error struct {
	Call string
	Code int
	Name string // "CUDA_ERROR_ILLEGAL_ADDRESS"
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s (%d)", e.Call, e.Name, e.Code) }

const (
	codeInvalidValue = 1
	codeOutOfMemory  = 2
	codeNotSupported = 801
)

// driver is libcuda. Calls go by SyscallN, a third of the cost of a registered
// function. The fields are entry points, by the names of the driver's API.
type driver struct {
	cuInit, cuDriverGetVersion                                           uintptr
	cuDeviceGetCount, cuDeviceGet, cuDeviceGetName, cuDeviceGetAttribute uintptr
	cuDeviceGetUuid                                                      uintptr
	cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRelease, cuCtxSetCurrent uintptr
	cuModuleLoadDataEx, cuModuleUnload, cuModuleGetFunction              uintptr
	cuFuncGetAttribute, cuFuncSetAttribute                               uintptr
	cuMemGetInfo, cuMemAlloc, cuMemFree, cuMemHostAlloc, cuMemFreeHost   uintptr
	cuMemcpyHtoDAsync, cuMemcpyDtoHAsync, cuMemcpyDtoDAsync              uintptr
	cuMemsetD8Async                                                      uintptr
	cuStreamCreate, cuStreamDestroy, cuStreamSynchronize                 uintptr
	cuLaunchKernel, cuLaunchKernelEx                                     uintptr
	cuEventCreate, cuEventDestroy, cuEventRecord, cuEventSynchronize     uintptr
	cuStreamWaitEvent                                                    uintptr
	cuStreamBeginCapture, cuStreamEndCapture                             uintptr
	cuGraphInstantiateWithFlags, cuGraphLaunch                           uintptr
	cuGraphDestroy, cuGraphExecDestroy                                   uintptr
	cuGetErrorName                                                       uintptr

	version int32 // of CUDA, 12030 for 12.3
}

// openDriver loads libcuda; the error says what is missing. SULLAE_LIBCUDA names
// another library than the system's.
func openDriver() (*driver, error) {
	name := os.Getenv("SULLAE_LIBCUDA")
	if name == "" {
		name = "libcuda.so.1"
	}
	lib, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("%w: NVIDIA's driver is not installed (%v)", ErrNoDevice, err)
	}
	d := &driver{}
	for _, f := range []struct {
		to   *uintptr
		name string
	}{
		{&d.cuInit, "cuInit"}, {&d.cuDriverGetVersion, "cuDriverGetVersion"},
		{&d.cuDeviceGetCount, "cuDeviceGetCount"}, {&d.cuDeviceGet, "cuDeviceGet"}, {&d.cuDeviceGetName, "cuDeviceGetName"},
		{&d.cuDeviceGetAttribute, "cuDeviceGetAttribute"}, {&d.cuDeviceGetUuid, "cuDeviceGetUuid_v2"},
		{&d.cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain"}, {&d.cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2"},
		{&d.cuCtxSetCurrent, "cuCtxSetCurrent"},
		{&d.cuModuleLoadDataEx, "cuModuleLoadDataEx"}, {&d.cuModuleUnload, "cuModuleUnload"}, {&d.cuModuleGetFunction, "cuModuleGetFunction"},
		{&d.cuMemGetInfo, "cuMemGetInfo_v2"}, {&d.cuMemAlloc, "cuMemAlloc_v2"}, {&d.cuMemFree, "cuMemFree_v2"},
		{&d.cuMemHostAlloc, "cuMemHostAlloc"}, {&d.cuMemFreeHost, "cuMemFreeHost"},
		{&d.cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2"}, {&d.cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2"},
		{&d.cuMemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2"}, {&d.cuMemsetD8Async, "cuMemsetD8Async"},
		{&d.cuStreamCreate, "cuStreamCreate"}, {&d.cuStreamDestroy, "cuStreamDestroy_v2"}, {&d.cuStreamSynchronize, "cuStreamSynchronize"},
		{&d.cuLaunchKernel, "cuLaunchKernel"}, {&d.cuLaunchKernelEx, "cuLaunchKernelEx"},
		{&d.cuEventCreate, "cuEventCreate"}, {&d.cuEventDestroy, "cuEventDestroy_v2"}, {&d.cuEventRecord, "cuEventRecord"},
		{&d.cuEventSynchronize, "cuEventSynchronize"}, {&d.cuStreamWaitEvent, "cuStreamWaitEvent"}, {&d.cuFuncGetAttribute, "cuFuncGetAttribute"},
		{&d.cuFuncSetAttribute, "cuFuncSetAttribute"},
		{&d.cuStreamBeginCapture, "cuStreamBeginCapture_v2"}, {&d.cuStreamEndCapture, "cuStreamEndCapture"},
		{&d.cuGraphInstantiateWithFlags, "cuGraphInstantiateWithFlags"}, {&d.cuGraphLaunch, "cuGraphLaunch"},
		{&d.cuGraphDestroy, "cuGraphDestroy"}, {&d.cuGraphExecDestroy, "cuGraphExecDestroy"},
		{&d.cuGetErrorName, "cuGetErrorName"},
	} {
		if *f.to, err = purego.Dlsym(lib, f.name); err != nil {
			return nil, fmt.Errorf("%w: %s has no %s: the driver is too old", ErrNoDevice, name, f.name)
		}
	}
	if err := d.call("cuInit", d.cuInit, 0); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoDevice, err)
	}
	if err := d.call("cuDriverGetVersion", d.cuDriverGetVersion, uintptr(unsafe.Pointer(&d.version))); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoDevice, err)
	}
	if version := d.version; version < minDriver {
		return nil, fmt.Errorf("%w: the driver speaks CUDA %d.%d, %d.%d is needed (driver 525 or later)",
			ErrNoDevice, version/1000, version%1000/10, minDriver/1000, minDriver%1000/10)
	}
	return d, nil
}

// call calls the driver. Pointers among args must be kept alive by the caller.
//
//go:uintptrescapes
func (d *driver) call(name string, f uintptr, args ...uintptr) error {
	code, _, _ := purego.SyscallN(f, args...)
	if int32(code) == 0 {
		return nil
	}
	e := &Error{Call: name, Code: int(int32(code)), Name: "unknown error"}
	var text *byte
	if r, _, _ := purego.SyscallN(d.cuGetErrorName, code, uintptr(unsafe.Pointer(&text))); int32(r) == 0 && text != nil {
		e.Name = cString(text)
	}
	return e
}

func cString(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

// Attributes of a device (CUdevice_attribute).
const (
	attrProcessors = 16
	attrMajor      = 75
	attrMinor      = 76
)

// device is one GPU's context, stream and kernels.
type device struct {
	*driver
	id     int32
	name   string
	uuid   string
	cc     int // compute capability, 90 for 9.0
	ctx    uintptr
	stream uintptr
	// processors is the number of multiprocessors.
	processors int
	modules    []uintptr
	// kernels are by number (kernelNames), 0 where one could not be loaded; targets is
	// what each was compiled for.
	kernels []uintptr
	targets []string
}

// openDevice makes a context on a GPU and loads the kernels.
func openDevice(index int, log *slog.Logger) (_ *device, err error) {
	drv, err := openDriver()
	if err != nil {
		return nil, err
	}
	d := &device{driver: drv, kernels: make([]uintptr, len(kernelNames)), targets: make([]string, len(kernelNames))}
	var count int32
	if err := d.call("cuDeviceGetCount", d.cuDeviceGetCount, uintptr(unsafe.Pointer(&count))); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoDevice, err)
	}
	if count == 0 {
		return nil, fmt.Errorf("%w: there is a driver, but no GPU that this process may use", ErrNoDevice)
	}
	if index < 0 || index >= int(count) {
		return nil, fmt.Errorf("%w %d: there are %d, numbered from 0", ErrNoDevice, index, count)
	}
	if err := d.call("cuDeviceGet", d.cuDeviceGet, uintptr(unsafe.Pointer(&d.id)), uintptr(index)); err != nil {
		return nil, err
	}
	var name [128]byte
	var uuid [16]byte
	var processors, major, minor int32
	attribute := func(to *int32, which uintptr) func() error {
		return func() error {
			return d.call("cuDeviceGetAttribute", d.cuDeviceGetAttribute, uintptr(unsafe.Pointer(to)), which, uintptr(d.id))
		}
	}
	for _, f := range []func() error{
		func() error {
			return d.call("cuDeviceGetName", d.cuDeviceGetName, uintptr(unsafe.Pointer(&name[0])), uintptr(len(name)), uintptr(d.id))
		},
		func() error {
			return d.call("cuDeviceGetUuid", d.cuDeviceGetUuid, uintptr(unsafe.Pointer(&uuid[0])), uintptr(d.id))
		},
		attribute(&processors, attrProcessors), attribute(&major, attrMajor), attribute(&minor, attrMinor),
	} {
		if err := f(); err != nil {
			return nil, err
		}
	}
	d.uuid = fmt.Sprintf("GPU-%x-%x-%x-%x-%x", uuid[:4], uuid[4:6], uuid[6:8], uuid[8:10], uuid[10:])
	d.name, d.cc, d.processors = cString(&name[0]), int(major)*10+int(minor), int(processors)
	if d.cc < 80 {
		return nil, fmt.Errorf("%w: device %d (%s) has compute capability %d.%d, 8.0 is needed", ErrNoDevice, index, d.name, major, minor)
	}
	if err := d.call("cuDevicePrimaryCtxRetain", d.cuDevicePrimaryCtxRetain, uintptr(unsafe.Pointer(&d.ctx)), uintptr(d.id)); err != nil {
		return nil, fmt.Errorf("device %d (%s): %w", index, d.name, err)
	}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	defer d.enter()()
	if err := d.call("cuStreamCreate", d.cuStreamCreate, uintptr(unsafe.Pointer(&d.stream)), 1 /* non-blocking */); err != nil {
		return nil, err
	}
	return d, d.loadKernels(log)
}

// enter makes the context current. A context belongs to a thread, and a goroutine
// may move to another between two calls: the result gives the thread back.
func (d *device) enter() func() {
	runtime.LockOSThread()
	_ = d.call("cuCtxSetCurrent", d.cuCtxSetCurrent, d.ctx) // a lost context shows in the next call
	return runtime.UnlockOSThread
}

func (d *device) close() {
	defer d.enter()()
	for _, m := range d.modules {
		_ = d.call("cuModuleUnload", d.cuModuleUnload, m)
	}
	if d.stream != 0 {
		_ = d.call("cuStreamDestroy", d.cuStreamDestroy, d.stream)
	}
	_ = d.call("cuDevicePrimaryCtxRelease", d.cuDevicePrimaryCtxRelease, uintptr(d.id))
}
