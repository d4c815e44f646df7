"""The modules written by hand in chapters 2.1 and 2.2, taken out of the notebooks, against the library at the published sizes."""
import pytest
import torch
from transformers import BertConfig, BertForPreTraining, MBartConfig, MBartForConditionalGeneration, Qwen2Config, Qwen2ForCausalLM

from .course import definitions

TOLERANCE = 1e-5  # of the largest value where that is above 1, as in the notebooks


def with_random_weights(model: torch.nn.Module) -> torch.nn.Module:
    """Biases and norms too, which start at 0 and 1: a module that forgets one of them must not pass."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.02 + (1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0))
    return model.eval()


def assert_same(ours: torch.Tensor, theirs: torch.Tensor):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= TOLERANCE * max(1.0, theirs.abs().max().item())


@pytest.fixture(scope="module")
def encoder_chapter():
    return definitions("intro-transformer-encoder.ipynb")


@pytest.fixture(scope="module")
def decoder_chapter():
    return definitions("intro-transformer-decoder.ipynb")


@pytest.mark.parametrize("width, heads, inner", [(768, 12, 3072), (128, 4, 384)])
@torch.no_grad()
def test_encoder_equals_bert(encoder_chapter, width, heads, inner):
    config = BertConfig(hidden_size=width, num_attention_heads=heads, intermediate_size=inner, num_hidden_layers=2, vocab_size=300)
    bert = with_random_weights(BertForPreTraining._from_config(config, attn_implementation="eager"))
    encoder = encoder_chapter["encoder_from"](bert)
    ids, mask = torch.randint(300, (2, 20)), torch.tensor([[1] * 20, [1] * 13 + [0] * 7])
    segments = torch.tensor([[0] * 9 + [1] * 11, [0] * 20])
    states, maps = encoder(ids, mask, segments)
    library = bert(ids, mask, segments, output_hidden_states=True, output_attentions=True)
    for ours, theirs in zip(states, library.hidden_states, strict=True):
        assert_same(ours[mask == 1], theirs[mask == 1])
    for ours, theirs in zip(maps, library.attentions, strict=True):
        assert_same(ours[0], theirs[0])
    assert_same(encoder.guess(states[-1])[mask == 1], library.prediction_logits[mask == 1])


@pytest.mark.parametrize("width, heads, kv_heads, inner, theta, tied", [
    (896, 14, 2, 4864, 1e6, True), (896, 14, 2, 4864, 1e4, False), (256, 4, 4, 512, 1e6, True)])
@torch.no_grad()
def test_decoder_equals_qwen(decoder_chapter, width, heads, kv_heads, inner, theta, tied):
    config = Qwen2Config(
        hidden_size=width, num_attention_heads=heads, num_key_value_heads=kv_heads, intermediate_size=inner, num_hidden_layers=2, vocab_size=300,
        tie_word_embeddings=tied, rope_parameters={"rope_type": "default", "rope_theta": theta}, bos_token_id=0, eos_token_id=299)
    qwen = with_random_weights(Qwen2ForCausalLM._from_config(config, attn_implementation="eager"))
    decoder = decoder_chapter["decoder_from"](qwen)
    ids = torch.randint(300, (2, 30))
    assert_same(decoder(ids), qwen(ids).logits)
    cache = [None] * config.num_hidden_layers
    pieces = [decoder(part, cache) for part in ids.split([11, 1, 18], dim=1)]
    assert_same(torch.cat(pieces, dim=1), qwen(ids).logits)
    decoder_chapter["ENDS"] = torch.tensor([299])
    made = qwen.generate(ids[:1], attention_mask=torch.ones_like(ids[:1]), do_sample=False, max_new_tokens=12, pad_token_id=299)
    assert torch.equal(decoder_chapter["greedy"](decoder, ids[:1], 12), made)


@pytest.mark.parametrize("width, heads", [(1024, 16), (128, 4)])
@torch.no_grad()
def test_cross_attention_equals_mbart(decoder_chapter, width, heads):
    config = MBartConfig(d_model=width, encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_ffn_dim=256,
                         decoder_ffn_dim=256, encoder_layers=1, decoder_layers=2, vocab_size=300)
    mbart = with_random_weights(MBartForConditionalGeneration._from_config(config, attn_implementation="eager"))
    theirs = mbart.model.decoder.layers[1].encoder_attn
    ours = decoder_chapter["CrossAttention"](config)
    ours.load_state_dict(theirs.state_dict())
    x, source, mask = torch.randn(2, 9, width), torch.randn(2, 12, width), torch.tensor([[1] * 12, [1] * 7 + [0] * 5])
    blocked = torch.where(mask.bool(), 0.0, torch.finfo(torch.float32).min)[:, None, None].expand(2, 1, 9, 12)
    assert_same(ours(x, source, mask)[0], theirs(x, key_value_states=source, attention_mask=blocked)[0])
