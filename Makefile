# Two commands do everything on a machine that has only Python 3.11 and make:
#   make demo    trains on a shipped picture and makes new ones
#   make test    lints, checks types and runs the tests
#   make gpu     on a machine with CUDA: checks agreement with the CPU, measures, writes docs/gpu.md
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PICTURE ?= images/generation/meadow.png
MODE ?= generation

.PHONY: demo test lint gpu clean

demo: $(VENV)/.installed
	@run=$$($(BIN)/python main_train.py --train_mode $(MODE) --input_name $(PICTURE)) \
	 && $(BIN)/python evaluate_model.py --model_dir "$$run" --num_samples 9 \
	 && find "$$run/Evaluation" -name 'grid.*' -exec echo "Look at" {} \;

test: $(VENV)/.dev-installed lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not gpu"

lint: $(VENV)/.dev-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

gpu: $(VENV)/.dev-installed
	$(BIN)/python benchmarks/gpu.py --out docs/gpu.md

$(VENV)/.installed: requirements.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

$(VENV)/.dev-installed: $(VENV)/.installed pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,tensorboard,cluster,onnx,service]' -c constraints.txt
	@touch $@

clean:
	rm -rf $(VENV)
