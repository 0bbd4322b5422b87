# Each target says what it is for. Tools are pinned here and fetched by Go itself.
BUF       = go run github.com/bufbuild/buf/cmd/buf@v1.75.0
GO_PROTO  = google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
GRPC_PROTO = google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
TOOLS     = $(CURDIR)/bin
COMMIT    = $(shell git describe --always --abbrev=12 --dirty --exclude='*' 2>/dev/null)

.PHONY: build ptx gpu-sim gpu-test test race noasm lint generate check chaos soak mixed image image-gpu kube-test chart-lint chart-test

# build makes bin/sullae, which knows the commit that it is of. With CUDA in it the
# binary needs glibc; TAGS=nocuda makes it static.
build:
	CGO_ENABLED=0 go build -tags "$(TAGS)" -trimpath -buildvcs=false -ldflags "-s -w -X main.commit=$(COMMIT)" -o bin/sullae ./cmd/sullae

# ptx runs the GPU kernels' suite over the very PTX that a driver is given, interpreted on
# the host (kernels/cuda/sim): Hopper's code, and that for all devices. Go does not see the
# variables, which C reads, and would take results from its cache.
ptx:
	SULLAE_SIM_PTX=1 go test -count=1 ./kernels/cuda
	SULLAE_SIM_PTX=1 SULLAE_SIM_CC=80 go test -count=1 ./kernels/cuda

# gpu-sim runs what is to be seen of GPU workers without a GPU and takes long: golden models
# on 1, 2 and 4 workers, steps in parts, a device that is lost at each call.
gpu-sim:
	mkdir -p bin && $(CXX) -std=c++17 -O2 -shared -fPIC -ffp-contract=off -fvisibility=hidden -mfma -o bin/libcuda-sim.so kernels/cuda/sim/driver.cc
	SULLAE_LIBCUDA=$(CURDIR)/bin/libcuda-sim.so go test ./worker/engine -run 'TestGPU|TestDeviceLost' -timeout 4h -args -gpu
	go test ./cmd/sullae/e2e -run TestGPU -timeout 1h -args -gpu-lost

# gpu-test makes what tests and measures GPU workers on a machine that has a driver and
# nothing else: bin/gpu/run, which prints JSON (docs/gpu.md).
gpu-test:
	mkdir -p bin/gpu
	CGO_ENABLED=0 go test -c -trimpath -ldflags "-s -w" -o bin/gpu/cuda.test ./kernels/cuda
	CGO_ENABLED=0 go test -c -trimpath -ldflags "-s -w" -o bin/gpu/engine.test ./worker/engine
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.commit=$(COMMIT)" -o bin/gpu/sullae ./cmd/sullae
	rm -rf bin/gpu/golden && cp -r shard/modeltest/testdata/golden bin/gpu/golden
	cp kernels/cuda/gpurun.sh bin/gpu/run && cp kernels/cuda/torch_decode.py bin/gpu/

# test runs everything that runs by default.
test:
	go test ./...

# race runs the race detector over what is concurrent. Arithmetic-heavy suites are cut short.
race:
	go test -race -short ./collective/... ./coordinator/... ./worker/... ./kernels/cpu/... ./proto/... ./cmd/...

# noasm runs the arithmetic without assembly: the same bits must come out.
noasm:
	go test -short -tags noasm ./kernels/... ./worker/engine/...

# lint checks formatting, vet and the API's style.
lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || (gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1)
	go vet ./...
	$(BUF) lint

# generate makes the protobuf code, the assembly and the PTX (for which it needs clang 19) again.
generate:
	GOBIN=$(TOOLS) go install $(GO_PROTO)
	GOBIN=$(TOOLS) go install $(GRPC_PROTO)
	cd proto && PATH="$(TOOLS):$$PATH" $(BUF) generate --template buf.gen.yaml .
	cd kernels/cpu && go generate ./...
	cd kernels/cuda && go generate .

# check is what a change must pass.
check: lint test race noasm generate
	git diff --exit-code -- proto kernels

# chaos disturbs a cluster at random for ten minutes, from a seed, and compares every answer. As root every process
# has a host of its own.
chaos: build
	bin/sullae chaos random --for 10m --seed $(or $(SEED),1)

# resilience is every other disturbance once, as docs/resilience.md shows them.
.PHONY: resilience
resilience: build
	bin/sullae chaos rounds
	bin/sullae chaos rolling
	bin/sullae chaos elastic
	bin/sullae chaos etcd-away
	bin/sullae chaos etcd-away --frozen --for 30s
	bin/sullae chaos blips
	bin/sullae chaos slow
	bin/sullae chaos calm

# image makes the image of coordinators and CPU workers: the same commit gives the same digest. With docker:
# make image IMAGE_BUILD='SOURCE_DATE_EPOCH=0 docker buildx build --output type=docker,rewrite-timestamp=true'
IMAGE       = sullae:$(COMMIT)
IMAGE_BUILD = buildah bud --isolation chroot --timestamp 0
CERTS       = /etc/ssl/certs/ca-certificates.crt
image:
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags nocuda -ldflags "-s -w -X main.commit=$(COMMIT)" -o bin/image/bin/sullae ./cmd/sullae
	install -m 0644 $(CERTS) bin/image/bin/ca-certificates.crt
	$(IMAGE_BUILD) -f deploy/docker/Dockerfile -t $(IMAGE) bin/image

# image-gpu makes the image of GPU workers, on a base image with glibc.
image-gpu:
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.commit=$(COMMIT)" -o bin/image-gpu/bin/sullae ./cmd/sullae
	$(IMAGE_BUILD) -f deploy/docker/Dockerfile.gpu -t $(IMAGE)-gpu bin/image-gpu

# kube-test installs the chart on a real control plane, kubelet and containerd on this machine, and disturbs it under load
# (docs/operate.md). It wants root and a few Debian packages, which it names; its programs are built once, in 10 to 20 minutes.
kube-test:
	go run ./deploy/kubetest $(KUBETEST)

# chart-lint runs helm lint and values that must be refused; chart-test also kubeconform and helm-unittest.
chart-lint:
	go run ./deploy/charttest -lint
chart-test:
	go run ./deploy/charttest

# soak sends 10,000 short requests, a fifth of them cancelled, and looks for what they leave behind.
soak:
	go test ./cmd/sullae/e2e -run TestSoak -v -timeout 30m -args -soak 10000

# structured asks for 1,000 structured outputs of every kind at temperature 1: all must be whole and valid.
.PHONY: structured latency
structured:
	go test ./cmd/sullae/e2e -run TestStructuredOutputs -v -timeout 30m -args -structured 1000

# latency measures what streams see of a prompt of 2,000 tokens, and what a prefix of 1,000 saves; MODEL is the demo
# model or a folder. The machine should have nothing else to do.
latency:
	go test ./cmd/sullae/e2e -run TestLatency -v -timeout 30m -args -latency 5 -latency-model "$(MODEL)"

# mixed compares 32 requests of all kinds alone with all at once, in every way of serving.
mixed:
	go test ./cmd/sullae/e2e -run TestMixed -v -timeout 30m -args -mixed-all
