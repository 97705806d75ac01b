# fish completion for gptcli; written by 'python -m gptcli.completion': do not edit

# Whether the words before the cursor lead to the command that is named, "" for none yet.
function __gptcli_at
    set -l command
    set -l words (commandline -opc)
    for word in $words[2..-1]
        string match -q -- '-*' $word; and continue
        set -l next (string trim -- "$command $word")
        contains -- $next 'generate' 'logits' 'score' 'attention' 'lens' 'trace' 'params' 'tokenize' 'similarity' 'neighbors' 'analogy' 'direction' 'map' 'models' 'models list' 'models pull' 'models show'; or break
        set command $next
    end
    test "$command" = "$argv[1]"
end

# Models: bundled, short names, downloaded, and what lies here.
function __gptcli_models
    printf '%s\n' glove-50d tales gpt2 gpt2-medium gpt2-large gpt2-xl distilgpt2 dialogpt-small dialogpt-medium dialogpt-large cerebras-gpt-111m cerebras-gpt-256m cerebras-gpt-590m cerebras-gpt-1.3b cerebras-gpt-2.7b cerebras-gpt-6.7b cerebras-gpt-13b openai-gpt gpt-neo-125m gpt-neo-1.3b gpt-neo-2.7b tinystories-1m tinystories-3m tinystories-8m tinystories-28m tinystories-33m tinystories-instruct-1m tinystories-instruct-3m tinystories-instruct-8m tinystories-instruct-28m tinystories-instruct-33m gpt-j-6b gpt-neox-20b pythia-70m pythia-160m pythia-410m pythia-1b pythia-1.4b pythia-2.8b pythia-6.9b pythia-12b pythia-70m-deduped pythia-160m-deduped pythia-410m-deduped pythia-1b-deduped pythia-1.4b-deduped pythia-2.8b-deduped pythia-6.9b-deduped pythia-12b-deduped opt-125m opt-350m opt-1.3b opt-2.7b opt-6.7b opt-13b opt-30b opt-66b
    set -l home (set -q XDG_CACHE_HOME; and echo $XDG_CACHE_HOME; or echo ~/.cache)/huggingface
    set -q HF_HOME; and set home $HF_HOME
    set -l cache $home/hub
    set -q HUGGINGFACE_HUB_CACHE; and set cache $HUGGINGFACE_HUB_CACHE
    set -q HF_HUB_CACHE; and set cache $HF_HUB_CACHE
    for config in $cache/models--*--*/snapshots/*/config.json
        set -l name (string replace -- $cache/models-- '' $config | string replace -r '/.*' '' | string replace -- -- /)
        string match -r -- '^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$' $name
    end
    __fish_complete_suffix .safetensors | string match -r -- '^.*(?:/|\.safetensors)$'
end

complete -c gptcli -f

complete -c gptcli -n '__gptcli_at \'\'' -a generate -d 'Continue a text, token by token, as the model would.'
complete -c gptcli -n '__gptcli_at \'\'' -a logits -d 'Show what may come next: the most probable tokens, with their logits.'
complete -c gptcli -n '__gptcli_at \'\'' -a score -d 'Score a text: how surprising each token is to the model.'
complete -c gptcli -n '__gptcli_at \'\'' -a attention -d 'Show where each head looks while the model reads a text.'
complete -c gptcli -n '__gptcli_at \'\'' -a lens -d 'Watch a model make up its mind: the best guess after every layer.'
complete -c gptcli -n '__gptcli_at \'\'' -a trace -d 'Follow a text through a GPT, step by step.'
complete -c gptcli -n '__gptcli_at \'\'' -a params -d 'Count a GPT\'s parameters by what they do, down to the exact number.'
complete -c gptcli -n '__gptcli_at \'\'' -a tokenize -d 'Cut a text into tokens, the pieces that a GPT reads and writes.'
complete -c gptcli -n '__gptcli_at \'\'' -a similarity -d 'Compare words by their vectors: two in a line, more as a heat map.'
complete -c gptcli -n '__gptcli_at \'\'' -a neighbors -d 'List the words whose vectors are nearest to a word\'s.'
complete -c gptcli -n '__gptcli_at \'\'' -a analogy -d 'Do arithmetic with words: what is king - man + woman?'
complete -c gptcli -n '__gptcli_at \'\'' -a direction -d 'Measure words along a direction: is cats - cat a direction of the plural?'
complete -c gptcli -n '__gptcli_at \'\'' -a map -d 'Lay words out on a plane: the slice through the embedding that shows most of them.'
complete -c gptcli -n '__gptcli_at \'\'' -a models -d 'List, download and examine models. No weights are loaded.'
complete -c gptcli -n '__gptcli_at \'\'' -l version -d 'Print the version and exit.'
complete -c gptcli -n '__gptcli_at \'\'' -l verbose -d 'With --version: python, torch, device, folders.'
complete -c gptcli -n '__gptcli_at \'\'' -l show-completion -x -a 'bash zsh fish' -d 'Print the completion script for a shell.'
complete -c gptcli -n '__gptcli_at \'\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'generate\'' -l prompts-file -r -F -d 'One prompt a line.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l bos -d 'Put <|endoftext|> before the prompt.'
complete -c gptcli -n '__gptcli_at \'generate\'' -s n -l max-new-tokens -x -d 'At most so many tokens.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l stop -x -d 'End before this text. Repeatable.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l ignore-eos -d 'Write on after <|endoftext|>.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l overflow -x -a 'slide stop' -d 'When the context is full: drop its older half, or stop.'
complete -c gptcli -n '__gptcli_at \'generate\'' -s N -l num-samples -x -d 'Continuations of each prompt.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l logit-bias -x -d 'Add to one token\'s logit.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l repetition-penalty -x -d 'Above 1: avoid repeating tokens.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l no-repeat-ngram -x -d 'Never repeat so many tokens in a row.'
complete -c gptcli -n '__gptcli_at \'generate\'' -s t -l temperature -x -d 'Divides the logits; 0 is greedy.'
complete -c gptcli -n '__gptcli_at \'generate\'' -s k -l top-k -x -d 'Keep the K largest; 0 keeps all.'
complete -c gptcli -n '__gptcli_at \'generate\'' -s p -l top-p -x -d 'Keep the fewest that reach this probability.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l min-p -x -d 'Keep what has this share of the best one.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l typical-p -x -d 'Keep the most typical up to this probability.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l seed -x -d 'Repeat a result.'
complete -c gptcli -n '__gptcli_at \'generate\'' -s m -l model -x -a '(__gptcli_models)' -d 'A folder, a .safetensors file, or a name (gptcli models list).'
complete -c gptcli -n '__gptcli_at \'generate\'' -l n-head -x -d 'Attention heads, for a lone .safetensors file.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l device -x -a 'auto cpu cuda mps' -d 'Where to run the model.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l dtype -x -a 'auto float32 bfloat16 float16' -d 'auto: float32, or bfloat16 where a GPU has it.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l quantize -x -a 'none int8 int4' -d 'Keep matrices in 8 or 4 bits: smaller, faster, a little less exact.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l lookup -x -d 'Guess up to N tokens ahead from what was said before; the text stays the same.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l explain -d 'Show what each token was chosen from.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l explain-top -x -d 'Candidates to list.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l no-echo -d 'Leave the prompt out.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l stats -d 'Speed and memory, on stderr.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l json -d 'One object a sample.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l jsonl -d 'One object a token, streamed.'
complete -c gptcli -n '__gptcli_at \'generate\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'generate\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'logits\'' -l top -x -d 'How many to list.'
complete -c gptcli -n '__gptcli_at \'logits\'' -s t -l temperature -x -d 'One or several.'
complete -c gptcli -n '__gptcli_at \'logits\'' -s k -l top-k -x -d 'Keep the K largest; 0 keeps all.'
complete -c gptcli -n '__gptcli_at \'logits\'' -s p -l top-p -x -d 'Keep the fewest that reach this probability.'
complete -c gptcli -n '__gptcli_at \'logits\'' -l min-p -x -d 'Keep what has this share of the best one.'
complete -c gptcli -n '__gptcli_at \'logits\'' -l all-positions -d 'What was expected at each position.'
complete -c gptcli -n '__gptcli_at \'logits\'' -l watch -x -d 'Show this token too. Repeatable.'
complete -c gptcli -n '__gptcli_at \'logits\'' -s m -l model -x -a '(__gptcli_models)' -d 'A folder, a .safetensors file, or a name (gptcli models list).'
complete -c gptcli -n '__gptcli_at \'logits\'' -l n-head -x -d 'Attention heads, for a lone .safetensors file.'
complete -c gptcli -n '__gptcli_at \'logits\'' -l device -x -a 'auto cpu cuda mps' -d 'Where to run the model.'
complete -c gptcli -n '__gptcli_at \'logits\'' -l dtype -x -a 'auto float32 bfloat16 float16' -d 'auto: float32, or bfloat16 where a GPU has it.'
complete -c gptcli -n '__gptcli_at \'logits\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'logits\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'logits\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'score\'' -l bos -d 'Read <|endoftext|> first, and score every token.'
complete -c gptcli -n '__gptcli_at \'score\'' -l stride -x -d 'How far the window moves on in a long text.'
complete -c gptcli -n '__gptcli_at \'score\'' -l top -x -d 'How many to list.'
complete -c gptcli -n '__gptcli_at \'score\'' -s m -l model -x -a '(__gptcli_models)' -d 'A folder, a .safetensors file, or a name (gptcli models list).'
complete -c gptcli -n '__gptcli_at \'score\'' -l n-head -x -d 'Attention heads, for a lone .safetensors file.'
complete -c gptcli -n '__gptcli_at \'score\'' -l device -x -a 'auto cpu cuda mps' -d 'Where to run the model.'
complete -c gptcli -n '__gptcli_at \'score\'' -l dtype -x -a 'auto float32 bfloat16 float16' -d 'auto: float32, or bfloat16 where a GPU has it.'
complete -c gptcli -n '__gptcli_at \'score\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'score\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'score\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'attention\'' -l layer -x -d 'Layers from 1, or all.'
complete -c gptcli -n '__gptcli_at \'attention\'' -l head -x -d 'Heads from 1, or all.'
complete -c gptcli -n '__gptcli_at \'attention\'' -l columns -d 'A column looks, not a row.'
complete -c gptcli -n '__gptcli_at \'attention\'' -l scores -d 'What stood before the softmax.'
complete -c gptcli -n '__gptcli_at \'attention\'' -s m -l model -x -a '(__gptcli_models)' -d 'A folder, a .safetensors file, or a name (gptcli models list).'
complete -c gptcli -n '__gptcli_at \'attention\'' -l n-head -x -d 'Attention heads, for a lone .safetensors file.'
complete -c gptcli -n '__gptcli_at \'attention\'' -l device -x -a 'auto cpu cuda mps' -d 'Where to run the model.'
complete -c gptcli -n '__gptcli_at \'attention\'' -l dtype -x -a 'auto float32 bfloat16 float16' -d 'auto: float32, or bfloat16 where a GPU has it.'
complete -c gptcli -n '__gptcli_at \'attention\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'attention\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'attention\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'lens\'' -l sublayers -d 'Between attention and MLP too.'
complete -c gptcli -n '__gptcli_at \'lens\'' -l token -x -d 'Follow this token. Repeatable.'
complete -c gptcli -n '__gptcli_at \'lens\'' -l attribution -d 'What each head and MLP adds to the logit.'
complete -c gptcli -n '__gptcli_at \'lens\'' -l top -x -d 'How many to list.'
complete -c gptcli -n '__gptcli_at \'lens\'' -s m -l model -x -a '(__gptcli_models)' -d 'A folder, a .safetensors file, or a name (gptcli models list).'
complete -c gptcli -n '__gptcli_at \'lens\'' -l n-head -x -d 'Attention heads, for a lone .safetensors file.'
complete -c gptcli -n '__gptcli_at \'lens\'' -l device -x -a 'auto cpu cuda mps' -d 'Where to run the model.'
complete -c gptcli -n '__gptcli_at \'lens\'' -l dtype -x -a 'auto float32 bfloat16 float16' -d 'auto: float32, or bfloat16 where a GPU has it.'
complete -c gptcli -n '__gptcli_at \'lens\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'lens\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'lens\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'trace\'' -l layer -x -d 'Open this block, from 1.'
complete -c gptcli -n '__gptcli_at \'trace\'' -l head -x -d 'Open one head of it, from 1.'
complete -c gptcli -n '__gptcli_at \'trace\'' -l config -x -d 'Shapes only: a size such as gpt3, or a config.json.'
complete -c gptcli -n '__gptcli_at \'trace\'' -l tokens -x -d 'With --config: read so many.'
complete -c gptcli -n '__gptcli_at \'trace\'' -s m -l model -x -a '(__gptcli_models)' -d 'A folder, a .safetensors file, or a name (gptcli models list).'
complete -c gptcli -n '__gptcli_at \'trace\'' -l n-head -x -d 'Attention heads, for a lone .safetensors file.'
complete -c gptcli -n '__gptcli_at \'trace\'' -l device -x -a 'auto cpu cuda mps' -d 'Where to run the model.'
complete -c gptcli -n '__gptcli_at \'trace\'' -l dtype -x -a 'auto float32 bfloat16 float16' -d 'auto: float32, or bfloat16 where a GPU has it.'
complete -c gptcli -n '__gptcli_at \'trace\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'trace\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'trace\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'params\'' -a 'gpt2 gpt2-medium gpt2-large gpt2-xl gpt3-small gpt3-medium gpt3-large gpt3-xl gpt3-2.7b gpt3-6.7b gpt3-13b gpt3 (__gptcli_models)'
complete -c gptcli -n '__gptcli_at \'params\'' -s m -l model -x -a 'gpt2 gpt2-medium gpt2-large gpt2-xl gpt3-small gpt3-medium gpt3-large gpt3-xl gpt3-2.7b gpt3-6.7b gpt3-13b gpt3 (__gptcli_models)' -d 'A folder, a .safetensors file, or a name (gptcli models list).'
complete -c gptcli -n '__gptcli_at \'params\'' -l n-head -x -d 'Attention heads, for a lone .safetensors file.'
complete -c gptcli -n '__gptcli_at \'params\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'params\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'params\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'tokenize\'' -l ids -d 'Print only the ids, on one line.'
complete -c gptcli -n '__gptcli_at \'tokenize\'' -l decode -d 'Turn ids back into text.'
complete -c gptcli -n '__gptcli_at \'tokenize\'' -l count -d 'Print only how many tokens there are.'
complete -c gptcli -n '__gptcli_at \'tokenize\'' -l merges -d 'Show the merges that built each word.'
complete -c gptcli -n '__gptcli_at \'tokenize\'' -l truncate -x -d 'Print the text cut to its first N tokens.'
complete -c gptcli -n '__gptcli_at \'tokenize\'' -l special -d 'Read <|endoftext|> and its like as special.'
complete -c gptcli -n '__gptcli_at \'tokenize\'' -l encoding -x -a 'cl100k_base gpt2 o200k_base o200k_harmony p50k_base p50k_edit r50k_base' -d 'One of tiktoken\'s: cl100k_base, o200k_base, ...'
complete -c gptcli -n '__gptcli_at \'tokenize\'' -s m -l model -x -a '(__gptcli_models)' -d 'A folder, a .safetensors file, or a name (gptcli models list).'
complete -c gptcli -n '__gptcli_at \'tokenize\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'tokenize\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'tokenize\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'similarity\'' -l metric -x -a 'cosine dot euclidean' -d 'How likeness is measured.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -l in-context -d 'Compare a word in several texts, layer by layer.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -l neighbors -x -d 'List the N tokens nearest to each vector.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -s m -l model -x -a '(__gptcli_models)' -d 'Word vectors, or a GPT for the vectors of its tokens.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -l unembedding -d 'A GPT\'s unembedding, not its embedding.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -l no-space -d 'A GPT\'s token for a word that starts a text, not for one after a space.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -l restrict -x -d 'Search the N most frequent words only.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -l evaluate -r -F -d 'Score a test set.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -l count-unknown -d 'Count what has an unknown word as wrong; it is skipped otherwise.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -l n-head -x -d 'Attention heads, for a lone .safetensors file.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -l device -x -a 'auto cpu cuda mps' -d 'Where to run the model.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -l dtype -x -a 'auto float32 bfloat16 float16' -d 'auto: float32, or bfloat16 where a GPU has it.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'similarity\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'neighbors\'' -l metric -x -a 'cosine dot euclidean' -d 'How likeness is measured.'
complete -c gptcli -n '__gptcli_at \'neighbors\'' -l keep-query -d 'List the query\'s own words too.'
complete -c gptcli -n '__gptcli_at \'neighbors\'' -s m -l model -x -a '(__gptcli_models)' -d 'Word vectors, or a GPT for the vectors of its tokens.'
complete -c gptcli -n '__gptcli_at \'neighbors\'' -l unembedding -d 'A GPT\'s unembedding, not its embedding.'
complete -c gptcli -n '__gptcli_at \'neighbors\'' -l no-space -d 'A GPT\'s token for a word that starts a text, not for one after a space.'
complete -c gptcli -n '__gptcli_at \'neighbors\'' -l restrict -x -d 'Search the N most frequent words only.'
complete -c gptcli -n '__gptcli_at \'neighbors\'' -l top -x -d 'How many to list.'
complete -c gptcli -n '__gptcli_at \'neighbors\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'neighbors\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'neighbors\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'analogy\'' -l method -x -a 'add mul' -d 'Join words by sum (3CosAdd) or product (3CosMul).'
complete -c gptcli -n '__gptcli_at \'analogy\'' -l metric -x -a 'cosine dot euclidean' -d 'How likeness is measured.'
complete -c gptcli -n '__gptcli_at \'analogy\'' -l keep-query -d 'List the query\'s own words too.'
complete -c gptcli -n '__gptcli_at \'analogy\'' -s m -l model -x -a '(__gptcli_models)' -d 'Word vectors, or a GPT for the vectors of its tokens.'
complete -c gptcli -n '__gptcli_at \'analogy\'' -l unembedding -d 'A GPT\'s unembedding, not its embedding.'
complete -c gptcli -n '__gptcli_at \'analogy\'' -l no-space -d 'A GPT\'s token for a word that starts a text, not for one after a space.'
complete -c gptcli -n '__gptcli_at \'analogy\'' -l restrict -x -d 'Search the N most frequent words only.'
complete -c gptcli -n '__gptcli_at \'analogy\'' -l evaluate -r -F -d 'Score a test set.'
complete -c gptcli -n '__gptcli_at \'analogy\'' -l count-unknown -d 'Count what has an unknown word as wrong; it is skipped otherwise.'
complete -c gptcli -n '__gptcli_at \'analogy\'' -l top -x -d 'How many to list.'
complete -c gptcli -n '__gptcli_at \'analogy\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'analogy\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'analogy\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'direction\'' -l sort -l no-sort -d 'Largest first, or in the order given.'
complete -c gptcli -n '__gptcli_at \'direction\'' -s m -l model -x -a '(__gptcli_models)' -d 'Word vectors, or a GPT for the vectors of its tokens.'
complete -c gptcli -n '__gptcli_at \'direction\'' -l unembedding -d 'A GPT\'s unembedding, not its embedding.'
complete -c gptcli -n '__gptcli_at \'direction\'' -l no-space -d 'A GPT\'s token for a word that starts a text, not for one after a space.'
complete -c gptcli -n '__gptcli_at \'direction\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'direction\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'direction\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'map\'' -l neighbors -x -d 'Add the N nearest words of each.'
complete -c gptcli -n '__gptcli_at \'map\'' -l axis -x -d 'A direction as an axis: woman-man; once or twice.'
complete -c gptcli -n '__gptcli_at \'map\'' -s m -l model -x -a '(__gptcli_models)' -d 'Word vectors, or a GPT for the vectors of its tokens.'
complete -c gptcli -n '__gptcli_at \'map\'' -l unembedding -d 'A GPT\'s unembedding, not its embedding.'
complete -c gptcli -n '__gptcli_at \'map\'' -l no-space -d 'A GPT\'s token for a word that starts a text, not for one after a space.'
complete -c gptcli -n '__gptcli_at \'map\'' -l restrict -x -d 'Search the N most frequent words only.'
complete -c gptcli -n '__gptcli_at \'map\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'map\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'map\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'models\'' -a list -d 'List the models that have a name: bundled, downloaded, downloadable.'
complete -c gptcli -n '__gptcli_at \'models\'' -a pull -d 'Download a model from the Hugging Face hub, or the newer version of one.'
complete -c gptcli -n '__gptcli_at \'models\'' -a show -d 'Say what a checkpoint is: family, configuration, tokenizer, files.'
complete -c gptcli -n '__gptcli_at \'models\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'models list\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'models list\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'models list\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'models pull\'' -a '(__gptcli_models)'
complete -c gptcli -n '__gptcli_at \'models pull\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'models pull\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'models pull\'' -s h -l help -d 'Show this message and exit.'

complete -c gptcli -n '__gptcli_at \'models show\'' -a '(__gptcli_models)'
complete -c gptcli -n '__gptcli_at \'models show\'' -l keys -d 'List every tensor and what becomes of it.'
complete -c gptcli -n '__gptcli_at \'models show\'' -l n-head -x -d 'Attention heads, for a lone .safetensors file.'
complete -c gptcli -n '__gptcli_at \'models show\'' -l json -d 'Print JSON.'
complete -c gptcli -n '__gptcli_at \'models show\'' -l save -r -F -d 'Also save as .svg, .html or .txt.'
complete -c gptcli -n '__gptcli_at \'models show\'' -s h -l help -d 'Show this message and exit.'
