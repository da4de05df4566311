# Worker and launcher image of the preprocessing job for Dataflow (docs/dataflow.md) and Flink.
#   docker build -t us-docker.pkg.dev/my-project/coltran/worker:0.1.0 .
FROM gcr.io/dataflow-templates-base/python311-template-launcher-base AS launcher

# The same Beam and Python as on the machine that submits the job: requirements.lock holds the version.
FROM apache/beam_python3.11_sdk:2.77.0
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher

WORKDIR /opt/coltran
COPY requirements.lock ./
# What preprocessing imports, and no more: neither TensorFlow nor JAX, so that workers start fast.
RUN pip install --no-cache-dir --constraint requirements.lock \
    "apache-beam[gcp]" google-cloud-storage google-crc32c matplotlib numpy pillow protobuf pyarrow scipy tqdm
COPY . ./
RUN pip install --no-cache-dir --no-deps . && coltran-preprocess --help > /dev/null

ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/opt/coltran/pipelines/preprocess.py
ENTRYPOINT ["/opt/apache/beam/boot"]
