# dabench in a container. Untested: no image has been built yet (docs/install.md).
#   docker build --tag dabench .
#   docker run --rm --volume "$PWD/workspace:/workspace" --volume "$PWD/data:/data:ro" dabench doctor
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
COPY constraints.txt /tmp/
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(ls /wheels/dabench-*.whl)[ray,export]" --constraint /tmp/constraints.txt
RUN useradd --create-home dabench && mkdir /workspace /data && chown dabench /workspace
USER dabench
ENV DABENCH_WORKSPACE=/workspace DABENCH_DATA=/data
WORKDIR /workspace
ENTRYPOINT ["dabench"]
CMD ["--help"]
