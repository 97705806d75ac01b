# bash completion for gptcli; written by 'python -m gptcli.cli.completion': do not edit

# Offer those of the given words that begin with $cur.
_gptcli_words() {
    local word
    for word in "$@"; do
        [[ $word == "$cur"* ]] && COMPREPLY+=("$word")
    done
}

# Offer files whose names end in $1 (any, without), and folders.
_gptcli_files() {
    local path
    compopt -o filenames 2>/dev/null
    while IFS= read -r path; do
        [[ -d ${path/#\~\//$HOME/} || $path == *"$1" ]] && COMPREPLY+=("$path")
    done < <(compgen -f -- "$cur")
}

# Offer models: bundled, short names, downloaded, and then what lies here.
_gptcli_models() {
    local cache="${HF_HUB_CACHE:-${HUGGINGFACE_HUB_CACHE:-${HF_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/huggingface}/hub}}" config name
    _gptcli_words glove-50d tales gpt2 gpt2-medium gpt2-large gpt2-xl distilgpt2 dialogpt-small dialogpt-medium dialogpt-large cerebras-gpt-111m cerebras-gpt-256m cerebras-gpt-590m cerebras-gpt-1.3b cerebras-gpt-2.7b cerebras-gpt-6.7b cerebras-gpt-13b openai-gpt gpt-neo-125m gpt-neo-1.3b gpt-neo-2.7b tinystories-1m tinystories-3m tinystories-8m tinystories-28m tinystories-33m tinystories-instruct-1m tinystories-instruct-3m tinystories-instruct-8m tinystories-instruct-28m tinystories-instruct-33m gpt-j-6b gpt-neox-20b pythia-70m pythia-160m pythia-410m pythia-1b pythia-1.4b pythia-2.8b pythia-6.9b pythia-12b pythia-70m-deduped pythia-160m-deduped pythia-410m-deduped pythia-1b-deduped pythia-1.4b-deduped pythia-2.8b-deduped pythia-6.9b-deduped pythia-12b-deduped opt-125m opt-350m opt-1.3b opt-2.7b opt-6.7b opt-13b opt-30b opt-66b smollm2-135m smollm2-360m smollm2-1.7b smollm2-135m-instruct smollm2-360m-instruct smollm2-1.7b-instruct smollm3-3b qwen3-0.6b qwen3-1.7b qwen3-4b qwen3-8b qwen3-14b qwen3-32b qwen2.5-0.5b qwen2.5-1.5b qwen2.5-3b qwen2.5-7b qwen2.5-14b qwen2.5-32b qwen2.5-72b qwen2.5-0.5b-instruct qwen2.5-1.5b-instruct qwen2.5-3b-instruct qwen2.5-7b-instruct qwen2.5-14b-instruct qwen2.5-32b-instruct qwen2.5-72b-instruct llama-3.2-1b llama-3.2-3b llama-3.2-1b-instruct llama-3.2-3b-instruct llama-3.1-8b llama-3.1-70b llama-3.1-405b llama-3.1-8b-instruct llama-3.1-70b-instruct llama-3.1-405b-instruct tinyllama-1.1b-chat deepseek-r1-distill-qwen-1.5b deepseek-r1-distill-qwen-7b deepseek-r1-distill-qwen-14b deepseek-r1-distill-qwen-32b gemma-3-270m gemma-3-1b gemma-3-4b gemma-3-12b gemma-3-27b gemma-3-270m-it gemma-3-1b-it gemma-3-4b-it gemma-3-12b-it gemma-3-27b-it gemma-2-2b gemma-2-9b gemma-2-27b gemma-2-2b-it gemma-2-9b-it gemma-2-27b-it mistral-7b mistral-7b-instruct phi-2 phi-3-mini phi-4 phi-4-mini olmo-2-1b olmo-2-1b-instruct bloom-560m falcon-7b gpt-oss-20b gpt-oss-120b
    for config in "$cache"/models--*--*/snapshots/*/config.json; do
        name=${config#"$cache"/models--}
        name=${name%%/*}
        name=${name/--//}
        [[ $name =~ ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$ ]] && _gptcli_words "$name"
    done
    _gptcli_files .safetensors
}

_gptcli() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= options= place=1 word
    COMPREPLY=()
    # --device=cpu arrives as three words.
    if [[ $cur == "=" ]]; then
        cur=
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    while ((place < COMP_CWORD)); do
        word=${COMP_WORDS[place++]}
        case "$command $word" in
            *" -"*) ;;
            ' tour') command=tour ;;
            ' explore') command=explore ;;
            ' generate') command=generate ;;
            ' chat') command=chat ;;
            ' logits') command=logits ;;
            ' softmax') command=softmax ;;
            ' score') command=score ;;
            ' attention') command=attention ;;
            ' lens') command=lens ;;
            ' ablate') command=ablate ;;
            ' patch') command=patch ;;
            ' head') command=head ;;
            ' neurons') command=neurons ;;
            ' trace') command=trace ;;
            ' params') command=params ;;
            ' tokenize') command=tokenize ;;
            ' similarity') command=similarity ;;
            ' neighbors') command=neighbors ;;
            ' analogy') command=analogy ;;
            ' direction') command=direction ;;
            ' map') command=map ;;
            ' compare') command=compare ;;
            ' bench') command=bench ;;
            ' models') command=models ;;
            'models list') command='models list' ;;
            'models pull') command='models pull' ;;
            'models show') command='models show' ;;
            'models quantize') command='models quantize' ;;
            ' glossary') command=glossary ;;
            ' schema') command=schema ;;
            ' config') command=config ;;
            ' help') command=help ;;
            *) break ;;
        esac
    done
    case "$command" in
        '')
            options="--color --theme --pager --no-pager --version --verbose --show-completion -h --help"
            case "$prev" in
                --color) _gptcli_words auto always never; return ;;
                --theme) _gptcli_words auto dark light; return ;;
                --pager) return ;;
                --show-completion) _gptcli_words bash zsh fish; return ;;
            esac
            [[ $cur == -* ]] || _gptcli_words tour explore generate chat logits softmax score attention lens ablate patch head neurons trace params tokenize similarity neighbors analogy direction map compare bench models glossary schema config help
            ;;
        tour)
            options="--list --stop --pace --worksheet --json --csv --md --save --title -h --help"
            case "$prev" in
                --stop|--pace|--title) return ;;
                --save) _gptcli_files; return ;;
            esac
            ;;
        explore)
            options="--raw -t --temperature -k --top-k -p --top-p --seed --timeout -m --model --n-head --tokenizer --device --dtype --quantize --cache --save --title --live -h --help"
            case "$prev" in
                -t|--temperature|-k|--top-k|-p|--top-p|--seed|--timeout|--n-head|--tokenizer|--title) return ;;
                -m|--model) _gptcli_models; return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
                --quantize) _gptcli_words none int8 int4; return ;;
                --cache) _gptcli_words auto float32 float16; return ;;
                --save) _gptcli_files; return ;;
            esac
            ;;
        generate)
            options="-f --file --lines --raw --prompts-file --chat --bos -n --max-new-tokens --stop --ignore-eos --overflow -N --num-samples --system --template --no-template --thinking --no-thinking --hide-thinking --logit-bias --repetition-penalty --no-repeat-ngram -t --temperature -k --top-k -p --top-p --min-p --typical-p --seed --timeout --explain --explain-top --pick --replay -m --model --n-head --tokenizer --device --dtype --quantize --cache --lookup --without --by --over --from-text --steer --freeze-attention --save-direction --pace --no-echo --stats --json --jsonl --save --title -h --help"
            case "$prev" in
                -f|--file|--prompts-file|--replay|--over|--save-direction|--save) _gptcli_files; return ;;
                -n|--max-new-tokens|--stop|-N|--num-samples|--system|--template|--logit-bias|--repetition-penalty|--no-repeat-ngram|-t|--temperature|-k|--top-k|-p|--top-p|--min-p|--typical-p|--seed|--timeout|--explain-top|--n-head|--tokenizer|--lookup|--without|--from-text|--steer|--pace|--title) return ;;
                --overflow) _gptcli_words slide stop; return ;;
                -m|--model) _gptcli_models; return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
                --quantize) _gptcli_words none int8 int4; return ;;
                --cache) _gptcli_words auto float32 float16; return ;;
                --by) _gptcli_words zero mean resample; return ;;
            esac
            ;;
        chat)
            options="--system --template --no-template --thinking --no-thinking --hide-thinking --user --assistant --format -n --max-new-tokens --logit-bias --repetition-penalty --no-repeat-ngram -t --temperature -k --top-k -p --top-p --min-p --typical-p --seed --timeout -m --model --n-head --tokenizer --device --dtype --quantize --cache --without --by --over --from-text --steer --freeze-attention --save-direction --json --save --title -h --help"
            case "$prev" in
                --system|--template|--user|--assistant|-n|--max-new-tokens|--logit-bias|--repetition-penalty|--no-repeat-ngram|-t|--temperature|-k|--top-k|-p|--top-p|--min-p|--typical-p|--seed|--timeout|--n-head|--tokenizer|--without|--from-text|--steer|--title) return ;;
                --format) _gptcli_words auto script eos; return ;;
                -m|--model) _gptcli_models; return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
                --quantize) _gptcli_words none int8 int4; return ;;
                --cache) _gptcli_words auto float32 float16; return ;;
                --by) _gptcli_words zero mean resample; return ;;
                --over|--save-direction|--save) _gptcli_files; return ;;
            esac
            ;;
        logits)
            options="-f --file --lines --raw -t --temperature -k --top-k -p --top-p --min-p --all-positions --watch --timeout -m --model --n-head --tokenizer --device --dtype --quantize --cache --without --by --over --from-text --steer --freeze-attention --save-direction --top --json --csv --md --save --title -h --help"
            case "$prev" in
                -f|--file|--over|--save-direction|--save) _gptcli_files; return ;;
                -t|--temperature|-k|--top-k|-p|--top-p|--min-p|--watch|--timeout|--n-head|--tokenizer|--without|--from-text|--steer|--top|--title) return ;;
                -m|--model) _gptcli_models; return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
                --quantize) _gptcli_words none int8 int4; return ;;
                --cache) _gptcli_words auto float32 float16; return ;;
                --by) _gptcli_words zero mean resample; return ;;
            esac
            ;;
        softmax)
            options="-t --temperature --json --csv --md --save --title -h --help"
            case "$prev" in
                -t|--temperature|--title) return ;;
                --save) _gptcli_files; return ;;
            esac
            ;;
        score)
            options="-f --file --lines --raw --bos --stride --no-overlap --timeout -m --model --n-head --tokenizer --device --dtype --quantize --cache --without --by --over --from-text --steer --freeze-attention --save-direction --summary --top --json --csv --md --save --title -h --help"
            case "$prev" in
                -f|--file|--over|--save-direction|--save) _gptcli_files; return ;;
                --stride|--timeout|--n-head|--tokenizer|--without|--from-text|--steer|--top|--title) return ;;
                -m|--model) _gptcli_models; return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
                --quantize) _gptcli_words none int8 int4; return ;;
                --cache) _gptcli_words auto float32 float16; return ;;
                --by) _gptcli_words zero mean resample; return ;;
            esac
            ;;
        attention)
            options="--raw --layer --head --columns --scores --from --to --timeout -m --model --n-head --tokenizer --device --dtype --without --by --over --from-text --steer --freeze-attention --save-direction --top --json --csv --md --save --title -h --help"
            case "$prev" in
                --layer|--head|--from|--to|--timeout|--n-head|--tokenizer|--without|--from-text|--steer|--top|--title) return ;;
                -m|--model) _gptcli_models; return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
                --by) _gptcli_words zero mean resample; return ;;
                --over|--save-direction|--save) _gptcli_files; return ;;
            esac
            ;;
        lens)
            options="--raw --sublayers --token --attribution --timeout -m --model --n-head --tokenizer --device --dtype --without --by --over --from-text --steer --freeze-attention --save-direction --top --json --csv --md --save --title -h --help"
            case "$prev" in
                --token|--timeout|--n-head|--tokenizer|--without|--from-text|--steer|--top|--title) return ;;
                -m|--model) _gptcli_models; return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
                --by) _gptcli_words zero mean resample; return ;;
                --over|--save-direction|--save) _gptcli_files; return ;;
            esac
            ;;
        ablate)
            options="--raw --token --versus --measure --by --over --from-text --freeze-attention --timeout -m --model --n-head --tokenizer --device --dtype --top --json --csv --md --save --title -h --help"
            case "$prev" in
                --token|--versus|--from-text|--timeout|--n-head|--tokenizer|--top|--title) return ;;
                --measure) _gptcli_words logit probability loss; return ;;
                --by) _gptcli_words zero mean resample; return ;;
                --over|--save) _gptcli_files; return ;;
                -m|--model) _gptcli_models; return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
            esac
            ;;
        patch)
            options="--raw --token --versus --measure --heads --freeze-attention --timeout -m --model --n-head --tokenizer --device --dtype --json --csv --md --save --title -h --help"
            case "$prev" in
                --token|--versus|--timeout|--n-head|--tokenizer|--title) return ;;
                --measure) _gptcli_words logit probability; return ;;
                -m|--model) _gptcli_models; return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
                --save) _gptcli_files; return ;;
            esac
            ;;
        head)
            options="--all --token --distance --through --tokens --no-kind --timeout -m --model --n-head --tokenizer --device --dtype --top --json --csv --md --save --title -h --help"
            case "$prev" in
                --token|--distance|--through|--tokens|--timeout|--n-head|--tokenizer|--top|--title) return ;;
                -m|--model) _gptcli_models; return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
                --save) _gptcli_files; return ;;
            esac
            ;;
        neurons)
            options="--raw --layer --at --by --neuron -f --file --window --timeout -m --model --n-head --tokenizer --device --dtype --top --json --csv --md --save --title -h --help"
            case "$prev" in
                --layer|--at|--neuron|--window|--timeout|--n-head|--tokenizer|--top|--title) return ;;
                --by) _gptcli_words unusual activation written; return ;;
                -f|--file|--save) _gptcli_files; return ;;
                -m|--model) _gptcli_models; return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
            esac
            ;;
        trace)
            options="--raw --layer --head --config --tokens --full --timeout -m --model --n-head --tokenizer --device --dtype --json --csv --md --save --title -h --help"
            case "$prev" in
                --layer|--head|--config|--tokens|--timeout|--n-head|--tokenizer|--title) return ;;
                -m|--model) _gptcli_models; return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
                --save) _gptcli_files; return ;;
            esac
            ;;
        params)
            options="--timeout -m --model --n-head --json --csv --md --save --title -h --help"
            case "$prev" in
                --timeout|--n-head|--title) return ;;
                -m|--model) _gptcli_words gpt2 gpt2-medium gpt2-large gpt2-xl gpt3-small gpt3-medium gpt3-large gpt3-xl gpt3-2.7b gpt3-6.7b gpt3-13b gpt3 llama-3.2-1b llama-3.1-8b llama-3.1-405b qwen3-0.6b qwen2.5-0.5b smollm2-135m smollm2-360m smollm2-1.7b gemma-3-270m gemma-3-1b gemma-2-2b mistral-7b phi-3-mini olmo-2-1b gpt-oss-20b gpt-oss-120b; _gptcli_models; return ;;
                --save) _gptcli_files; return ;;
            esac
            [[ $cur == -* ]] || { _gptcli_words gpt2 gpt2-medium gpt2-large gpt2-xl gpt3-small gpt3-medium gpt3-large gpt3-xl gpt3-2.7b gpt3-6.7b gpt3-13b gpt3 llama-3.2-1b llama-3.1-8b llama-3.1-405b qwen3-0.6b qwen2.5-0.5b smollm2-135m smollm2-360m smollm2-1.7b gemma-3-270m gemma-3-1b gemma-2-2b mistral-7b phi-3-mini olmo-2-1b gpt-oss-20b gpt-oss-120b; _gptcli_models; }
            ;;
        tokenize)
            options="-f --file --lines --raw --ids --decode --count --merges --offsets --truncate --special --encoding --timeout -m --model --json --csv --md --save --title -h --help"
            case "$prev" in
                -f|--file|--save) _gptcli_files; return ;;
                --truncate|--timeout|--title) return ;;
                --encoding) _gptcli_words cl100k_base gpt2 o200k_base o200k_harmony p50k_base p50k_edit r50k_base; return ;;
                -m|--model) _gptcli_models; return ;;
            esac
            ;;
        similarity)
            options="--metric --in-context --neighbors -m --model --unembedding --no-space --timeout --restrict --evaluate --count-unknown --tokenizer --n-head --device --dtype --json --csv --md --save --title -h --help"
            case "$prev" in
                --metric) _gptcli_words cosine dot euclidean; return ;;
                --neighbors|--timeout|--restrict|--tokenizer|--n-head|--title) return ;;
                -m|--model) _gptcli_models; return ;;
                --evaluate|--save) _gptcli_files; return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
            esac
            ;;
        neighbors)
            options="--metric --keep-query -m --model --unembedding --no-space --timeout --restrict --tokenizer --top --json --csv --md --save --title -h --help"
            case "$prev" in
                --metric) _gptcli_words cosine dot euclidean; return ;;
                -m|--model) _gptcli_models; return ;;
                --timeout|--restrict|--tokenizer|--top|--title) return ;;
                --save) _gptcli_files; return ;;
            esac
            ;;
        analogy)
            options="--method --metric --keep-query -m --model --unembedding --no-space --timeout --restrict --evaluate --count-unknown --tokenizer --top --json --csv --md --save --title -h --help"
            case "$prev" in
                --method) _gptcli_words add mul; return ;;
                --metric) _gptcli_words cosine dot euclidean; return ;;
                -m|--model) _gptcli_models; return ;;
                --timeout|--restrict|--tokenizer|--top|--title) return ;;
                --evaluate|--save) _gptcli_files; return ;;
            esac
            ;;
        direction)
            options="--sort --no-sort -m --model --unembedding --no-space --timeout --tokenizer --json --csv --md --save --title -h --help"
            case "$prev" in
                -m|--model) _gptcli_models; return ;;
                --timeout|--tokenizer|--title) return ;;
                --save) _gptcli_files; return ;;
            esac
            ;;
        map)
            options="--neighbors --axis -m --model --unembedding --no-space --timeout --restrict --tokenizer --json --csv --md --save --title -h --help"
            case "$prev" in
                --neighbors|--axis|--timeout|--restrict|--tokenizer|--title) return ;;
                -m|--model) _gptcli_models; return ;;
                --save) _gptcli_files; return ;;
            esac
            ;;
        compare)
            options="--raw -f --file --weights --no-weights --bos --stride --timeout --n-head --device --top --json --csv --md --save --title -h --help"
            case "$prev" in
                -f|--file|--save) _gptcli_files; return ;;
                --stride|--timeout|--n-head|--top|--title) return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
            esac
            ;;
        bench)
            options="--contexts --threads --timeout --n-head --device --dtype --quantize --cache --json --csv --md --save --title -h --help"
            case "$prev" in
                --contexts|--threads|--timeout|--n-head|--title) return ;;
                --device) _gptcli_words auto cpu cuda mps; return ;;
                --dtype) _gptcli_words auto float32 bfloat16 float16; return ;;
                --quantize) _gptcli_words none int8 int4; return ;;
                --cache) _gptcli_words auto float32 float16; return ;;
                --save) _gptcli_files; return ;;
            esac
            [[ $cur == -* ]] || { _gptcli_models; }
            ;;
        models)
            options="-h --help"
            [[ $cur == -* ]] || _gptcli_words list pull show quantize
            ;;
        'models list')
            options="--json --csv --md --save --title -h --help"
            case "$prev" in
                --save) _gptcli_files; return ;;
                --title) return ;;
            esac
            ;;
        'models pull')
            options="--timeout --json --csv --md --save --title -h --help"
            case "$prev" in
                --timeout|--title) return ;;
                --save) _gptcli_files; return ;;
            esac
            [[ $cur == -* ]] || { _gptcli_models; }
            ;;
        'models show')
            options="--keys --quantized --timeout --n-head --json --csv --md --save --title -h --help"
            case "$prev" in
                --timeout|--n-head|--title) return ;;
                --save) _gptcli_files; return ;;
            esac
            [[ $cur == -* ]] || { _gptcli_models; }
            ;;
        'models quantize')
            options="--remove --timeout --n-head --json --csv --md --save --title -h --help"
            case "$prev" in
                --timeout|--n-head|--title) return ;;
                --save) _gptcli_files; return ;;
            esac
            [[ $cur == -* ]] || { _gptcli_models; _gptcli_words int8 int4; }
            ;;
        glossary)
            options="--json --csv --md --save --title -h --help"
            case "$prev" in
                --save) _gptcli_files; return ;;
                --title) return ;;
            esac
            ;;
        schema)
            options="-h --help"
            ;;
        config)
            options="--json --csv --md --save --title -h --help"
            case "$prev" in
                --save) _gptcli_files; return ;;
                --title) return ;;
            esac
            ;;
        help)
            options="-h --help"
            ;;
    esac
    [[ $cur == -* ]] && _gptcli_words $options
}

complete -F _gptcli gptcli
