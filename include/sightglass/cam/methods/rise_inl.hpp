#pragma once

#include "sightglass/cam/methods/rise.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor Rise::operator()(const Cut& cut) const {
  TORCH_CHECK(samples > 0 && cells > 0, "samples, cells: got ", samples, " and ", cells, ", expected at least 1");
  TORCH_CHECK(probability > 0 && probability <= 1, "probability: got ", probability, ", expected (0, 1]");
  const at::Tensor x = cut.input();
  const auto dtype = detail::map_dtype(x);
  std::vector<at::Tensor> maps;
  for (int64_t image = 0; image < x.size(0); ++image) {
    maps.push_back(at::zeros(x.sizes().slice(2), x.options().dtype(dtype)));
  }
  const at::Tensor run =
      detail::scores_so_far(runs, Tail::once, x, samples, [&](int64_t image, int64_t first, int64_t last) {
        std::vector<at::Tensor> masks;
        for (int64_t i = first; i < last; ++i) masks.push_back(mask(x, seed + static_cast<uint64_t>(i)));
        const at::Tensor all = detail::moved_to(x.device(), at::stack(masks)).to(dtype);
        at::Tensor scores = cut.scores_of(detail::masked(all, x[image]), detail::of_image(image, last - first));
        const detail::WithoutAutocast without_autocast;
        maps[static_cast<size_t>(image)] += at::tensordot(scores.to(dtype), all, {0}, {0});
        return scores;
      });
  const at::Tensor done = detail::were_run(run).sum(1).clamp_min(1).to(x.device(), dtype);
  return at::stack(maps) / detail::over_each(done * probability, x.dim() - 1);
}

SIGHTGLASS_INLINE at::Tensor Rise::mask(const at::Tensor& x, uint64_t number) const {
  const at::IntArrayRef size = x.sizes().slice(2);
  const std::vector<int64_t> grid(size.size(), cells);
  const at::Tensor numbers =
      detail::uniform({static_cast<int64_t>(size.size()) + c10::multiply_integers(grid)}, number);
  std::vector<int64_t> larger;
  for (const int64_t length : size) larger.push_back(length + (length + cells - 1) / cells);
  const auto shifts = static_cast<int64_t>(size.size());
  at::Tensor mask = numbers.slice(0, shifts).lt(probability).to(at::kFloat).view(grid);
  mask = detail::resize_map(mask.unsqueeze(0), larger).squeeze(0);
  for (int64_t d = 0; d < shifts; ++d) {
    const int64_t room = larger[static_cast<size_t>(d)] - size[static_cast<size_t>(d)];
    const auto shift = static_cast<int64_t>(numbers[d].item<double>() * static_cast<double>(room + 1));
    mask = mask.narrow(d, std::min(shift, room), size[static_cast<size_t>(d)]);
  }
  return mask.contiguous();
}

}  // namespace sightglass
