# syntax=docker/dockerfile:1.7@sha256:a57df69d0ea827fb7266491f2813635de6f17269be881f696fbfdf2d83dda33e
#
#   docker buildx build --platform linux/amd64,linux/arm64 --tag REPOSITORY:TAG .
#
# Compiled on the builder's own platform for the one that is asked for, never emulated. The binary is
# static (glibc with crt-static), so that the image holds nothing else: no shell, no libraries.

# The same version as rust-toolchain.toml, which stays outside: it names components that the build does not need.
FROM --platform=$BUILDPLATFORM rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
ARG BUILDARCH
ARG TARGETARCH
SHELL ["/bin/bash", "-o", "errexit", "-o", "nounset", "-o", "pipefail", "-c"]

# The compiler, and the C library of the target for AWS-LC. Debian's versions, as of the base image.
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    packages=(ca-certificates cmake gcc libc6-dev make); \
    if [[ $BUILDARCH != "$TARGETARCH" ]]; then \
        case $TARGETARCH in \
            amd64) packages+=(gcc-x86-64-linux-gnu libc6-dev-amd64-cross) ;; \
            arm64) packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross) ;; \
            *) echo "no image for $TARGETARCH: build for amd64 or arm64" >&2; exit 1 ;; \
        esac; \
    fi; \
    apt-get update; \
    apt-get install --yes --no-install-recommends "${packages[@]}"

RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo install --locked --version 0.7.7 cargo-auditable

WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY crates crates
COPY src src
COPY tests/support tests/support
COPY examples/review-create.json examples/
COPY scripts/build.sh scripts/rootfs.sh scripts/
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=target-$TARGETARCH,target=/src/target \
    case $TARGETARCH in amd64) target=x86_64-unknown-linux-gnu ;; arm64) target=aarch64-unknown-linux-gnu ;; esac; \
    rustup target add "$target"; \
    binary=$(scripts/build.sh "$target"); \
    scripts/rootfs.sh "$binary" /rootfs

# No base image: what scripts/rootfs.sh lays out is all there is.
FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="rejob" \
      org.opencontainers.image.description="Redeploy Kubernetes Jobs the way you redeploy Deployments" \
      org.opencontainers.image.source="https://github.com/rejob/rejob" \
      org.opencontainers.image.documentation="https://github.com/rejob/rejob/tree/main/docs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /rootfs/ /
# By number, so that the kubelet can prove that it is not root.
USER 65532:65532
EXPOSE 8443 8080
ENTRYPOINT ["/rejob"]
CMD ["serve"]
