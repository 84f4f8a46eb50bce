# The page to ask in. gradio is installed without what it asks for: it names a Pillow that is older than the pinned one.
.PHONY: app install-app
app: plan install-app  ## a page to ask in, on this machine: make app [MODEL=runs/...] ARGS="--sft runs/tiny/sft"
	@$(PY) -m recipe.app --model $(ASKED) $(ARGS)
install-app: install  ## gradio, for `make app`
	@$(PY) -c 'import gradio' 2>/dev/null || { $(PY) -m pip install --quiet -c constraints.txt -e '.[app]' && \
	  $(PY) -m pip install --quiet --no-deps -c constraints.txt gradio gradio_client hf-gradio; }
