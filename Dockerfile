# The command line on a CPU:
#   docker build -t consingan .
#   docker run --rm -v "$PWD:/work" consingan train photo.jpg
FROM python:3.11-slim
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY consingan ./consingan
COPY docs/*.md ./docs/
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu . -c constraints.txt
WORKDIR /work
ENTRYPOINT ["consingan"]
