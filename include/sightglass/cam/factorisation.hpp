#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// What a layer's activations are made of: few patterns of channels, and where each is seen.
struct Concepts {
  at::Tensor maps;            ///< `[N, K, *S]`: the strength of each, from 0; the largest in the batch is 1
  at::Tensor vectors;         ///< `[K, C]`: the activations of a place where it is at strength 1
  double relative_error = 0;  ///< `|A - maps * vectors| / |A|`, Frobenius norms
};

namespace detail {

/// Two factors without negative elements.
struct Factors {
  at::Tensor left;   ///< `[P, K]`
  at::Tensor right;  ///< `[K, C]`
};

/// Where the search begins: the positive or the negative halves of the `count` first singular vectors, whichever weigh
/// more; zeros become the matrix's mean, since a product would keep them for ever (Boutsidis and Gallopoulos 2008,
/// "SVD based initialization: A head start for nonnegative matrix factorization", NNDSVDa). No chance in it.
Factors first_factors(const at::Tensor& matrix, int64_t count);

/// `matrix` `[P, C]`, without negative elements, as a product, by multiplicative updates (Lee and Seung 2001,
/// "Algorithms for Non-negative Matrix Factorization").
Factors factorise(const at::Tensor& matrix, int64_t count, int64_t rounds);

}  // namespace detail

/// Deep feature factorisation: the rectified activations, as a matrix of places by channels of the whole batch, as a
/// product of two without negative elements, `A = maps * vectors`. What shows together in many places becomes one
/// concept. Strongest concepts come first.
///
/// `activations` `[N, C, *S]`; `count`: how many concepts. Starts from singular vectors, so that the result is the same
/// each time. In float64. Collins et al. 2018, "Deep Feature Factorization for Concept Discovery". pytorch-grad-cam
/// takes off each channel's minimum instead of rectifying, and starts at random.
Concepts factorise(const at::Tensor& activations, int64_t count = 5, int64_t rounds = 200);

/// `[K, ...]`: the model's output where the layer gives a concept at strength 1 at each of its places: what the model
/// takes the concept for. What lies behind the layer runs once (`Tail::again` saves a pass).
///
/// `vectors` `[K, C]` of concepts at the cut's layer. pytorch-grad-cam runs a head that the user gives on the vectors;
/// behind global average pooling it is the same.
at::Tensor outputs_of_concepts(const Cut& cut, const at::Tensor& vectors);

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/factorisation_inl.hpp"
#endif
